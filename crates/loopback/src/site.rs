//! Where a request comes from.
//!
//! A server on the loopback interface can be reached by every website in the browser. The browser says where
//! a request comes from: under the name of a host (DNS rebinding), an origin, and a `Sec-Fetch-Site`.

use hyper::{
    HeaderMap, Method,
    header::{HOST, HeaderName, ORIGIN},
};

/// Set by browsers; pages cannot change it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It names another host.
    #[error("this is another host")]
    Host,
    /// It comes from another site.
    #[error("this request comes from another site")]
    Origin,
}

/// A server at a port of 127.0.0.1.
#[derive(Clone, Debug)]
pub struct Site {
    host: String,
    origin: String,
}

impl Site {
    /// The server at this port.
    pub fn new(port: u16) -> Self {
        let host = format!("127.0.0.1:{port}");
        Self {
            origin: format!("http://{host}"),
            host,
        }
    }

    /// Returns its origin: `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Checks that a request names this host, and no other.
    ///
    /// # Errors
    ///
    /// [`Refused::Host`].
    pub fn check_host(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let mut hosts = headers.get_all(HOST).iter();
        let is_host = hosts
            .next()
            .is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(self.host.as_bytes()));
        if is_host && hosts.next().is_none() {
            Ok(())
        } else {
            Err(Refused::Host)
        }
    }

    /// Checks a request to a server of pages, which only its own pages and the user may ask. `opens`: it is
    /// for an address whose secret is what counts, and which may be opened from anywhere.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn check(&self, method: &Method, headers: &HeaderMap, opens: bool) -> Result<(), Refused> {
        self.check_host(headers)?;
        let origin = headers.get(ORIGIN);
        let is_own = origin.is_some_and(|origin| origin.as_bytes() == self.origin.as_bytes());
        // Browsers send an origin with everything that may change something.
        if (origin.is_some() || method != Method::GET) && !is_own {
            return Err(Refused::Origin);
        }
        // Another port of this host is another origin, but the same site: it would get along with the cookie.
        match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
            None | Some(b"same-origin") => Ok(()),
            Some(b"none") if method == Method::GET => Ok(()),
            Some(_) if opens => Ok(()),
            Some(_) => Err(Refused::Origin),
        }
    }

    /// Checks a request to a server without pages, which programs ask and browsers never do: whatever a
    /// browser says of its pages is refused.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn check_program(&self, headers: &HeaderMap) -> Result<(), Refused> {
        self.check_host(headers)?;
        if headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE) {
            return Err(Refused::Origin);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn other_hosts_origins_and_sites_are_refused() {
        let site = Site::new(8000);
        let host = ("host", "127.0.0.1:8000");
        let get = |fields: &[_]| site.check(&Method::GET, &headers(fields), false);
        let post = |fields: &[_]| site.check(&Method::POST, &headers(fields), false);
        assert_eq!(get(&[host]), Ok(()));
        for other in [
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost:8000",
            "evil.example:8000",
            "127.0.0.1:8000.evil.example",
            "",
        ] {
            assert_eq!(get(&[("host", other)]), Err(Refused::Host), "{other}");
        }
        assert_eq!(get(&[]), Err(Refused::Host));
        assert_eq!(get(&[host, host]), Err(Refused::Host));
        let own = ("origin", "http://127.0.0.1:8000");
        assert_eq!(post(&[host, own]), Ok(()));
        assert_eq!(post(&[host]), Err(Refused::Origin));
        for other in [
            "null",
            "http://127.0.0.1:8001",
            "https://127.0.0.1:8000",
            "http://localhost:8000",
        ] {
            assert_eq!(post(&[host, ("origin", other)]), Err(Refused::Origin), "{other}");
            assert_eq!(get(&[host, ("origin", other)]), Err(Refused::Origin), "{other}");
        }
        for (from, expected) in [
            ("same-origin", Ok(())),
            ("none", Ok(())),
            ("same-site", Err(Refused::Origin)),
            ("cross-site", Err(Refused::Origin)),
        ] {
            assert_eq!(get(&[host, ("sec-fetch-site", from)]), expected, "{from}");
        }
        assert_eq!(
            post(&[host, own, ("sec-fetch-site", "none")]),
            Err(Refused::Origin)
        );
        let clicked = headers(&[host, ("sec-fetch-site", "cross-site")]);
        assert_eq!(site.check(&Method::GET, &clicked, true), Ok(()));
    }

    #[test]
    fn a_server_without_pages_answers_no_browser() {
        let site = Site::new(8000);
        let host = ("host", "127.0.0.1:8000");
        let asked = |fields: &[_]| site.check_program(&headers(fields));
        assert_eq!(asked(&[host]), Ok(()));
        assert_eq!(asked(&[("host", "evil.example:8000")]), Err(Refused::Host));
        assert_eq!(asked(&[]), Err(Refused::Host));
        for said in [
            ("origin", "http://127.0.0.1:8000"),
            ("origin", "null"),
            ("sec-fetch-site", "none"),
            ("sec-fetch-site", "cross-site"),
        ] {
            assert_eq!(asked(&[host, said]), Err(Refused::Origin), "{said:?}");
        }
    }
}
