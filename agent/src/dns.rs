//! Asking name servers for addresses: one question, one answer, over UDP and, where that is cut off, TCP.
//!
//! It stands here because a static binary must not use the C library's resolver (that loads foreign modules at run
//! time), and an asynchronous resolver would bring a runtime with it. It must not cache: an agent asks a few times in
//! its whole life. Forged answers are TLS's business; still, sockets are connected and question and id are compared.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, TYPE};

/// What a name server says about a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Its addresses; none if the name exists without an address of that family.
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    NoSuchName,
}

/// Asks `server` for the IPv4 and the IPv6 addresses of `name`; waits until `deadline` at the most.
pub(crate) fn lookup(server: SocketAddr, name: &str, deadline: Instant) -> io::Result<Answer> {
    let v4 = ask(server, name, TYPE::A, deadline)?;
    let Answer::Addresses(mut addresses) = v4 else { return Ok(v4) };
    // IPv4 is what runners have. A name server that chokes on the other question must not cost us its answer.
    match ask(server, name, TYPE::AAAA, deadline) {
        Ok(Answer::Addresses(v6)) => addresses.extend(v6),
        Ok(Answer::NoSuchName) | Err(_) if !addresses.is_empty() => {}
        Ok(Answer::NoSuchName) => return Ok(Answer::NoSuchName),
        Err(error) => return Err(error),
    }
    Ok(Answer::Addresses(addresses))
}

fn ask(server: SocketAddr, name: &str, kind: TYPE, deadline: Instant) -> io::Result<Answer> {
    let id = random_id();
    let query = question(id, name, kind)?;
    let answer = match over_udp(server, &query, id, deadline)? {
        Some(answer) => answer,
        None => over_tcp(server, &query, deadline)?,
    };
    read_answer(&answer, id, kind)
}

fn question(id: u16, name: &str, kind: TYPE) -> io::Result<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(|_| io::Error::new(ErrorKind::InvalidInput, "not a host name"))?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), CLASS::IN.into(), false));
    packet.build_bytes_vec().map_err(io::Error::other)
}

/// Sends over UDP, again and again until the deadline (a datagram may be lost). Nothing: the answer was cut off.
fn over_udp(server: SocketAddr, query: &[u8], id: u16, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    let mut buffer = [0; MAX_UDP_BYTES];
    loop {
        socket.send(query)?;
        let resend_at = Instant::now() + RESEND;
        while let Some(wait) = left(resend_at.min(deadline)) {
            socket.set_read_timeout(Some(wait))?;
            let answer = match socket.recv(&mut buffer) {
                Ok(length) => &buffer[..length],
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => return Err(error),
            };
            if answer.get(..2) == Some(&id.to_be_bytes()) {
                let cut = answer.get(2).is_some_and(|flags| flags & TRUNCATED != 0);
                return Ok((!cut).then(|| answer.to_vec()));
            }
        }
        left(deadline).ok_or_else(|| io::Error::from(ErrorKind::TimedOut))?;
    }
}

fn over_tcp(server: SocketAddr, query: &[u8], deadline: Instant) -> io::Result<Vec<u8>> {
    let wait = || left(deadline).ok_or_else(|| io::Error::from(ErrorKind::TimedOut));
    let mut stream = TcpStream::connect_timeout(&server, wait()?)?;
    stream.set_write_timeout(Some(wait()?))?;
    stream.set_read_timeout(Some(wait()?))?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn read_answer(bytes: &[u8], id: u16, kind: TYPE) -> io::Result<Answer> {
    let bad = |what| io::Error::new(ErrorKind::InvalidData, what);
    let packet = Packet::parse(bytes).map_err(|_| bad("the name server's answer cannot be read"))?;
    let ours = packet.questions.iter().any(|q| q.qtype == QTYPE::TYPE(kind));
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) || !ours {
        return Err(bad("the name server answered another question"));
    }
    // Aliases need no following: a recursive name server puts the whole chain into one answer.
    if packet.rcode() == RCODE::NameError {
        return Ok(Answer::NoSuchName);
    }
    if packet.rcode() != RCODE::NoError {
        return Err(bad("the name server failed"));
    }
    Ok(Answer::Addresses(packet.answers.iter().filter_map(|record| address(&record.rdata)).collect()))
}

fn address(data: &RData<'_>) -> Option<IpAddr> {
    if let RData::A(a) = data {
        Some(Ipv4Addr::from(a.address).into())
    } else if let RData::AAAA(a) = data {
        Some(Ipv6Addr::from(a.address).into())
    } else {
        None
    }
}

/// The time until then, if there is any. A socket takes no timeout of zero.
fn left(until: Instant) -> Option<Duration> {
    until.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero())
}

fn random_id() -> u16 {
    let mut bytes = [0; 2];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(2) => u16::from_ne_bytes(bytes),
        // Right after boot the kernel may have no randomness yet.
        Ok(_) | Err(_) => fastrand::u16(..),
    }
}

/// When a question is sent again.
const RESEND: Duration = Duration::from_secs(1);

/// The most that a name server sends over UDP without being told otherwise is 512; some send more.
const MAX_UDP_BYTES: usize = 4096;

/// The header's bit for "cut off, ask over TCP".
const TRUNCATED: u8 = 0b10;

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, CNAME};
    use std::net::TcpListener;
    use std::thread;

    /// Answers `questions` questions on a UDP port: AAAA with nothing, A with `reply`.
    fn serve(questions: usize, reply: fn(&mut Packet<'_>)) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            for _ in 0..questions {
                let mut buffer = [0; 512];
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                socket.send_to(&answer_to(&buffer[..length], reply), from).unwrap();
            }
        });
        address
    }

    fn answer_to(query: &[u8], reply: fn(&mut Packet<'_>)) -> Vec<u8> {
        let query = Packet::parse(query).unwrap();
        let mut answer = query.clone().into_reply();
        answer.questions = query.questions.clone();
        if query.questions[0].qtype == QTYPE::TYPE(TYPE::A) {
            reply(&mut answer);
        }
        answer.build_bytes_vec().unwrap()
    }

    fn one_address(packet: &mut Packet<'_>) {
        let name = || Name::new_unchecked("api.example.com");
        let alias = RData::CNAME(CNAME(Name::new_unchecked("lb.example.com")));
        packet.answers.push(ResourceRecord::new(name(), CLASS::IN, 60, alias));
        let address = RData::A(A { address: u32::from(Ipv4Addr::new(192, 0, 2, 7)) });
        packet.answers.push(ResourceRecord::new(Name::new_unchecked("lb.example.com"), CLASS::IN, 60, address));
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn an_alias_and_its_address() {
        let answer = lookup(serve(2, one_address), "api.example.com", soon()).unwrap();
        assert_eq!(answer, Answer::Addresses(vec!["192.0.2.7".parse().unwrap()]));
    }

    #[test]
    fn no_such_name() {
        let server = serve(1, |packet| *packet.rcode_mut() = RCODE::NameError);
        assert_eq!(lookup(server, "nope.example.com", soon()).unwrap(), Answer::NoSuchName);
    }

    #[test]
    fn a_failing_server_is_an_error() {
        let server = serve(1, |packet| *packet.rcode_mut() = RCODE::ServerFailure);
        assert!(lookup(server, "api.example.com", soon()).is_err());
    }

    #[test]
    fn a_silent_server_costs_only_the_time_given() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let deadline = Instant::now() + Duration::from_millis(50);
        let error = lookup(socket.local_addr().unwrap(), "api.example.com", deadline).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_cut_answer_is_asked_for_over_tcp() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = UdpSocket::bind(address).unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            for _ in 0..2 {
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                let cut = answer_to(&buffer[..length], |packet| packet.set_flags(PacketFlag::TRUNCATION));
                socket.send_to(&cut, from).unwrap();
                if cut[2] & TRUNCATED == 0 {
                    return;
                }
                let (mut stream, _) = listener.accept().unwrap();
                let mut query = vec![0; 2];
                stream.read_exact(&mut query).unwrap();
                query.resize(usize::from(u16::from_be_bytes([query[0], query[1]])), 0);
                stream.read_exact(&mut query).unwrap();
                let answer = answer_to(&query, one_address);
                stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
                stream.write_all(&answer).unwrap();
            }
        });
        let answer = lookup(address, "api.example.com", soon()).unwrap();
        assert_eq!(answer, Answer::Addresses(vec!["192.0.2.7".parse().unwrap()]));
    }
}
