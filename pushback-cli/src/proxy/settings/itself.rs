//! A proxy whose service would be itself: each request would come by once more, and get 508.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Admin, Origin};

/// Where this proxy listens, each with the name of its setting.
pub(in crate::proxy) struct Listeners([(&'static str, Option<SocketAddr>); 3]);

impl Listeners {
    /// By the names of what has them: the clients' listener, the admin's and the probes'.
    pub(in crate::proxy) fn of(names: [&'static str; 3], listen: SocketAddr, admin: &Admin) -> Self {
        let [clients, page, probes] = names;
        Listeners([(clients, Some(listen)), (page, admin.listen), (probes, admin.probes)])
    }

    /// Whether a service is somebody else, as far as addresses alone tell.
    pub(in crate::proxy) fn are_not(&self, origin: &Origin) -> Result<(), String> {
        let is_there = |listener: SocketAddr| {
            listener.port() == origin.port() && addresses(origin.host()).any(|ip| has(listener.ip(), ip))
        };
        let itself = self.0.iter().find_map(|(name, listener)| {
            listener.filter(|listener| is_there(*listener)).map(|listener| (name, listener))
        });
        match itself {
            None => Ok(()),
            Some((name, listener)) => Err(format!(
                "{name} is {listener}, so this is the proxy itself; allowed: where the service listens"
            )),
        }
    }
}

/// What a host means for certain; nothing, if somebody has to be asked.
fn addresses(host: &str) -> impl Iterator<Item = IpAddr> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let localhost = (host == "localhost" || host.ends_with(".localhost")).then_some(loopback);
    let one = host.parse::<IpAddr>().ok().map(|ip| match ip.to_canonical() {
        // Whoever connects to no address in particular comes to this machine.
        IpAddr::V4(ip) if ip.is_unspecified() => loopback[0],
        IpAddr::V6(ip) if ip.is_unspecified() => loopback[1],
        ip => ip,
    });
    localhost.into_iter().flatten().chain(one)
}

/// Whether a listener has what comes to this address. `[::]` is for IPv4 too, unless the system says otherwise.
fn has(listener: IpAddr, ip: IpAddr) -> bool {
    let is_for_all = listener.is_unspecified() && (listener.is_ipv6() || ip.is_ipv4());
    listener.to_canonical() == ip || is_for_all && ip.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_this_proxy_where_addresses_say_so() {
        for (listen, to, is_itself) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080", true),
            ("127.0.0.1:8080", "h2c://localhost:8080", true),
            ("127.0.0.1:8080", "http://Localhost.:8080", true),
            ("[::1]:8080", "http://localhost:8080", true),
            ("127.0.0.1:80", "http://127.0.0.1", true),
            ("127.0.0.1:443", "https://127.0.0.1", true),
            ("0.0.0.0:8080", "http://127.0.0.1:8080", true),
            ("0.0.0.0:8080", "http://127.0.0.9:8080", true),
            ("0.0.0.0:8080", "http://localhost:8080", true),
            ("[::]:8080", "http://127.0.0.1:8080", true),
            ("[::]:8080", "http://[::1]:8080", true),
            ("127.0.0.1:8080", "http://0.0.0.0:8080", true),
            ("127.0.0.1:8080", "http://[::ffff:127.0.0.1]:8080", true),
            ("192.0.2.1:8080", "http://192.0.2.1:8080", true),
            ("127.0.0.1:8080", "http://127.0.0.1:8081", false),
            ("127.0.0.1:8080", "http://127.0.0.2:8080", false),
            ("127.0.0.1:8080", "http://[::1]:8080", false),
            ("127.0.0.1:8080", "http://service:8080", false),
            ("0.0.0.0:8080", "http://[::1]:8080", false),
            ("0.0.0.0:8080", "http://192.0.2.1:8080", false), // who has that address only the system knows
            ("127.0.0.1:0", "http://127.0.0.1:8080", false),
        ] {
            let admin = Admin { listen: None, ..Admin::default() };
            let listeners = Listeners::of(["listen", "", ""], listen.parse().unwrap(), &admin);
            let said = listeners.are_not(&Origin::parse(to).unwrap());
            assert_eq!(said.is_err(), is_itself, "{listen}, {to}: {said:?}");
        }
    }
}
