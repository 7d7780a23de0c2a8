//! From a host name to addresses as this machine is set up: literals, `localhost`, `/etc/hosts`, then the name servers
//! of `/etc/resolv.conf`.
//!
//! The order and the rules for short names (`search`, `ndots`) are those of resolv.conf(5). The files are read for each
//! look-up, because a container's engine may write them after the agent's start.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as Resolves};
use ureq::unversioned::transport::NextTimeout;

use crate::dns::{Answer, lookup};

/// The resolver that the HTTP client uses.
#[derive(Debug)]
pub(crate) struct Resolver {
    hosts: PathBuf,
    resolv_conf: PathBuf,
}

impl Resolver {
    /// The one of this machine.
    pub(crate) fn system() -> Self {
        Self { hosts: "/etc/hosts".into(), resolv_conf: "/etc/resolv.conf".into() }
    }

    /// The addresses of a host, IPv4 first; none if there are none.
    fn addresses(&self, host: &str, limit: Duration) -> Result<Vec<IpAddr>, std::io::Error> {
        let host = host.trim_matches(['[', ']']);
        if let Ok(literal) = host.parse() {
            return Ok(vec![literal]);
        }
        let known = in_hosts(&fs::read_to_string(&self.hosts).unwrap_or_default(), host);
        if !known.is_empty() {
            return Ok(known);
        }
        if is_localhost(host) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let conf = ResolvConf::parse(&fs::read_to_string(&self.resolv_conf).unwrap_or_default());
        conf.resolve(host, Instant::now() + limit.min(MAX_LOOKUP))
    }
}

impl Resolves for Resolver {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut found = self.empty();
        for address in self.addresses(host, *timeout.after)?.into_iter().take(MAX_ADDRESSES) {
            found.push(SocketAddr::new(address, port));
        }
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// The addresses that a hosts file gives a name, IPv4 first.
fn in_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let host = host.trim_end_matches('.');
    let mut found: Vec<IpAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
        })
        .collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found
}

/// What matters of a resolv.conf.
#[derive(Debug, PartialEq, Eq)]
struct ResolvConf {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
}

impl ResolvConf {
    fn parse(text: &str) -> Self {
        let mut conf = Self { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(server)),
                Some("search" | "domain") => conf.search = words.map(|w| w.trim_matches('.').to_owned()).collect(),
                Some("options") => {
                    let ndots = words.find_map(|w| w.strip_prefix("ndots:")?.parse().ok());
                    conf.ndots = ndots.unwrap_or(conf.ndots).min(MAX_NDOTS);
                }
                Some(_) | None => {}
            }
        }
        conf.servers.truncate(MAX_SERVERS);
        conf.search.retain(|domain| !domain.is_empty());
        conf.search.truncate(MAX_SEARCH);
        if conf.servers.is_empty() {
            // What resolv.conf(5) says of a file that names none.
            conf.servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, DNS_PORT)));
        }
        conf
    }

    /// The full names to ask for, in order.
    fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(absolute) = host.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{host}.{domain}"));
        if host.matches('.').count() >= self.ndots {
            std::iter::once(host.to_owned()).chain(searched).collect()
        } else {
            searched.chain(std::iter::once(host.to_owned())).collect()
        }
    }

    fn resolve(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, std::io::Error> {
        let mut last_error = None;
        for name in self.candidates(host) {
            match self.ask_servers(&name, deadline) {
                Ok(found) if !found.is_empty() => return Ok(found),
                Ok(_) => {}
                Err(error) => last_error = Some(error),
            }
        }
        last_error.map_or(Ok(Vec::new()), Err)
    }

    /// Asks one server after the other; each gets a fair share of the time, so that a dead first one costs no answer.
    fn ask_servers(&self, name: &str, deadline: Instant) -> Result<Vec<IpAddr>, std::io::Error> {
        let mut last_error = std::io::Error::from(std::io::ErrorKind::TimedOut);
        for (index, server) in self.servers.iter().enumerate() {
            let now = Instant::now();
            let servers_left = u32::try_from(self.servers.len() - index).unwrap_or(1);
            let share = deadline.saturating_duration_since(now) / servers_left;
            match lookup(*server, name, now + share) {
                Ok(Answer::Addresses(found)) => return Ok(found),
                Ok(Answer::NoSuchName) => return Ok(Vec::new()),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }
}

/// A name server's address. A zone (`fe80::1%eth0`) is not understood, so such a server is left out.
fn server(word: &str) -> Option<SocketAddr> {
    word.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DNS_PORT))
}

/// Port of name servers.
const DNS_PORT: u16 = 53;

/// Bounds of resolv.conf(5).
const MAX_SERVERS: usize = 3;
const MAX_SEARCH: usize = 6;
const MAX_NDOTS: usize = 15;

/// Addresses that are tried at most (the HTTP client's own bound).
const MAX_ADDRESSES: usize = 16;

/// How long a look-up may take altogether.
const MAX_LOOKUP: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_file() {
        let text =
            "127.0.0.1 localhost\n# 9.9.9.9 plane\n::5 plane\n10.0.0.5 other Plane.internal plane # no\nbad plane\n";
        assert_eq!(in_hosts(text, "PLANE"), ["10.0.0.5".parse::<IpAddr>().unwrap(), "::5".parse().unwrap()]);
        assert_eq!(in_hosts(text, "plane.internal."), ["10.0.0.5".parse::<IpAddr>().unwrap()]);
        assert!(in_hosts(text, "no").is_empty());
    }

    #[test]
    fn resolv_conf() {
        let text = "; comment\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver ::1\nsearch a.b. c\noptions ndots:5 rotate\n";
        let conf = ResolvConf::parse(text);
        assert_eq!(conf.servers, ["10.0.0.2:53".parse().unwrap(), "[::1]:53".parse::<SocketAddr>().unwrap()]);
        assert_eq!(conf.candidates("x.y"), ["x.y.a.b", "x.y.c", "x.y"]);
        assert_eq!(conf.candidates("x.y."), ["x.y"]);
    }

    #[test]
    fn an_empty_resolv_conf_means_this_machine() {
        let conf = ResolvConf::parse("");
        assert_eq!(conf.servers, ["127.0.0.1:53".parse::<SocketAddr>().unwrap()]);
        assert_eq!(conf.candidates("api.example.com"), ["api.example.com"]);
    }

    #[test]
    fn what_needs_no_name_server() {
        let resolver = Resolver { hosts: "/does/not/exist".into(), resolv_conf: "/does/not/exist".into() };
        let get = |host| resolver.addresses(host, Duration::ZERO).unwrap();
        assert_eq!(get("192.0.2.1"), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(get("[::1]"), ["::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(get("localhost")[0], IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(get("plane.localhost")[0], IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
