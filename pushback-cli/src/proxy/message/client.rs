//! Who is at the other end of a connection, and what services are told of that.

use std::{net::IpAddr, sync::Arc};

use hyper::{
    HeaderMap,
    header::{HOST, HeaderName, HeaderValue, VIA},
};

use super::own::Own;
use crate::proxy::settings::Trust;

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who is at the other end of a connection.
pub(in crate::proxy) struct Client {
    pub(in crate::proxy) address: IpAddr,
    /// The same, as a header has it.
    name: HeaderValue,
    proto: HeaderValue,
    /// By what name this proxy goes.
    own: Arc<Own>,
}

impl Client {
    pub(in crate::proxy) fn new(address: IpAddr, is_tls: bool, own: Arc<Own>) -> Self {
        let address = address.to_canonical();
        // An address has only characters that a header may have.
        let name = HeaderValue::try_from(address.to_string());
        let name = name.unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        let proto = HeaderValue::from_static(if is_tls { "https" } else { "http" });
        Client { address, name, proto, own }
    }

    /// Adds who asked and by which way to what is said of that, which only known hops have been let say.
    pub(super) fn introduce(&self, headers: &mut HeaderMap, host: Option<HeaderValue>) {
        let mut hops = self.name.clone();
        if headers.contains_key(FORWARDED_FOR) {
            let said = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
            let all = said.chain([self.name.as_bytes()]).collect::<Vec<_>>().join(&b", "[..]);
            // What is joined of values is one, too.
            hops = HeaderValue::from_bytes(&all).unwrap_or(hops);
        }
        headers.insert(FORWARDED_FOR, hops);
        if headers.contains_key(FORWARDED) {
            let address = self.address;
            let node = if address.is_ipv6() { format!("\"[{address}]\"") } else { address.to_string() };
            if let Ok(element) = HeaderValue::try_from(format!("for={node}")) {
                headers.append(FORWARDED, element);
            }
        }
        if let Some(host) = host {
            headers.entry(FORWARDED_HOST).or_insert_with(|| host.clone());
            headers.insert(HOST, host);
        }
        headers.entry(FORWARDED_PROTO).or_insert_with(|| self.proto.clone());
        headers.append(VIA, self.own.via().clone());
    }

    /// Who asked: the last one that is no known hop, of those whom the known ones name.
    pub(in crate::proxy) fn first_unknown(&self, headers: &HeaderMap, trust: &Trust) -> IpAddr {
        let mut asked = self.address;
        let said = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let said: Vec<&str> = said.flat_map(|value| value.split(',')).collect();
        for name in said.into_iter().rev() {
            match name.trim().parse::<IpAddr>() {
                Ok(address) if trust.knows(asked) => asked = address.to_canonical(),
                _ => break,
            }
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::message::claims::Claims;

    fn trust() -> Trust {
        Trust { hops: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()], ..Trust::default() }
    }

    fn said(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (FORWARDED_FOR, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn who_asked_is_the_last_one_that_no_known_hop_is() {
        let own = Arc::new(Own::new());
        let seen = |peer: &str, values: &[&'static str]| {
            let client = Client::new(peer.parse().unwrap(), false, Arc::clone(&own));
            client.first_unknown(&said(values), &trust()).to_string()
        };
        assert_eq!(seen("192.0.2.1", &["203.0.113.7"]), "192.0.2.1", "a stranger's word does not count");
        assert_eq!(seen("10.0.0.1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, 203.0.113.7", "10.0.0.2"]), "203.0.113.7");
        assert_eq!(seen("::1", &["nonsense"]), "::1");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(
            seen("::ffff:10.0.0.1", &["203.0.113.7"]),
            "203.0.113.7",
            "an IPv4 address in an IPv6 one"
        );
    }

    #[test]
    fn a_known_hop_is_added_to_and_a_stranger_replaced() {
        let client = Client::new("10.0.0.1".parse().unwrap(), true, Arc::new(Own::new()));
        let mut headers = said(&["203.0.113.7"]);
        headers.insert(FORWARDED, HeaderValue::from_static("for=203.0.113.7"));
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
        let mut stranger = headers.clone();
        client.introduce(&mut headers, None);
        assert_eq!(headers[FORWARDED_FOR], "203.0.113.7, 10.0.0.1");
        assert_eq!(
            headers.get_all(FORWARDED).iter().collect::<Vec<_>>(),
            ["for=203.0.113.7", "for=10.0.0.1"]
        );
        assert_eq!(headers[FORWARDED_PROTO], "http");
        Claims::of(&Trust::default()).take_off(&mut stranger);
        client.introduce(&mut stranger, Some(HeaderValue::from_static("a")));
        assert_eq!(
            (&stranger[FORWARDED_FOR], &stranger[FORWARDED_PROTO]),
            (&"10.0.0.1".parse().unwrap(), &"https".parse().unwrap())
        );
        assert_eq!((&stranger[FORWARDED_HOST], stranger.get(FORWARDED)), (&"a".parse().unwrap(), None));
    }
}
