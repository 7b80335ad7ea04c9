//! How this proxy names itself.

use hyper::header::HeaderValue;

/// How this proxy names itself.
#[derive(Debug)]
pub(in crate::proxy) struct Own {
    pub(super) name: String,
    via: HeaderValue,
}

impl Own {
    /// Another name for each process, so that two in a row are no loop.
    pub(in crate::proxy) fn new() -> Self {
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
        let name = format!("pushback-{seed:016x}");
        let via = HeaderValue::try_from(format!("1.1 {name}"));
        // The name has only letters and digits.
        Own { via: via.unwrap_or_else(|_| HeaderValue::from_static("1.1 pushback")), name }
    }

    pub(super) fn via(&self) -> &HeaderValue {
        &self.via
    }
}
