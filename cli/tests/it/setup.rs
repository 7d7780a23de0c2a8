//! `github setup`: from the page through the simulated GitHub to files that `serve` can use, as a browser would go.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    process::{Child, Stdio},
};

use crate::{
    bench::{Daemon, Place, Ran, program, ran},
    credentials::GitHub,
};

/// One answer.
struct Seen {
    status: u16,
    head: String,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> String {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("{name} is not in {}", self.head)).split_once(": ").unwrap().1.to_owned()
    }
}

fn call(method: &str, url: &str, host: Option<&str>, body: &str) -> Seen {
    let rest = url.strip_prefix("http://").unwrap();
    let (address, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "{method} /{path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n",
        host.unwrap_or(address),
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Seen { status, head: head.to_owned(), body: body.to_owned() }
}

/// A running `github setup`, its page known.
struct Setup {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    page: String,
}

impl Setup {
    fn start(place: &Place, github: &GitHub, more: &[&str]) -> Self {
        let mut command = program();
        command.args(["github", "setup", "--api-url", github.server.url(), "--config"]).arg(place.config()).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let page = loop {
            let mut line = String::new();
            assert!(out.read_line(&mut line).unwrap() > 0, "no page is named");
            if line.trim().starts_with("http://127.0.0.1:") {
                break line.trim().to_owned();
            }
        };
        Self { child, out, page }
    }

    /// Presses the button of the page; where GitHub sends the browser then.
    fn press(&self) -> String {
        let seen = call("GET", &self.page, None, "");
        assert_eq!(seen.status, 200, "{}", seen.body);
        assert!(seen.header("content-security-policy").contains("default-src 'none'"));
        let attribute = |name: &str| {
            let (_, after) = seen.body.split_once(&format!("{name}=\"")).unwrap();
            let text = after.split('"').next().unwrap();
            text.replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&")
        };
        let encoded: String = attribute("name=\"manifest\" value").bytes().map(|byte| format!("%{byte:02x}")).collect();
        let posted = call("POST", &attribute("action"), None, &format!("manifest={encoded}"));
        assert_eq!(posted.status, 302, "{}", posted.body);
        posted.header("location")
    }

    fn end(mut self) -> Ran {
        let status = self.child.wait().unwrap();
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        Ran { code: status.code().unwrap_or(-1), out, err }
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // After `end` there is nothing to kill any more.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn an_app_is_registered_and_serve_can_use_it() {
    let (place, github) = (Place::new(), GitHub::open());
    let hook = "http://127.0.0.1:9/webhook";
    let setup = Setup::start(&place, &github, &["--org", "acme", "--runners", "repository", "--webhook-url", hook]);
    let back = setup.press();
    let done = call("GET", &back, None, "");
    assert_eq!(done.status, 200, "{}", done.body);
    assert!(done.body.contains("/apps/self-runners-acme/installations/new"), "{}", done.body);
    assert!(!done.body.contains("PRIVATE") && !done.body.contains("secret"), "{}", done.body);
    let ran = setup.end();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("/apps/self-runners-acme/installations/new") && !ran.out.contains("PRIVATE"), "{ran:?}");
    for (name, start) in [("github-app.pem", "-----BEGIN RSA PRIVATE KEY-----\n"), ("webhook-secret", "secret\n")] {
        let path = place.path(name);
        assert!(fs::read_to_string(&path).unwrap().starts_with(start), "{name}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let config: toml::Table = fs::read_to_string(place.config()).unwrap().parse().unwrap();
    let section: BTreeMap<_, _> = config["github"].as_table().unwrap().iter().collect();
    assert_eq!(section[&"app_id".to_owned()].as_integer(), Some(15_369));
    assert_eq!(section[&"webhook_url".to_owned()].as_str(), Some(hook));
    assert!(config["owners"].as_table().unwrap().contains_key("Acme"), "the rest of the file stays");
    let mut serve = place.serve();
    serve.env("GITHUB_TOKEN", "").env("GITHUB_WEBHOOK_SECRET", "");
    let log = Daemon::start_as(serve).end_when(&["GitHub accepts the credentials"]);
    assert!(!log.contains("ERROR"), "{log}");
}

#[test]
fn only_the_page_can_begin_it_and_only_once() {
    let (place, github) = (Place::new(), GitHub::open());
    let setup = Setup::start(&place, &github, &["--org", "acme"]);
    let (root, _) = setup.page.rsplit_once('/').unwrap();
    assert_eq!(call("GET", &format!("{root}/"), None, "").status, 404);
    // Another site whose name was made to mean this machine.
    assert_eq!(call("GET", &setup.page, Some("evil.test"), "").status, 404);
    assert_eq!(call("GET", &format!("{}/done?code=x&state=guess", setup.page), None, "").status, 400);
    assert_eq!(call("GET", &format!("{}/done?code=x", setup.page), None, "").status, 400);
    let back = setup.press();
    assert_eq!(call("GET", &back, Some("evil.test"), "").status, 404);
    // The right state with a code that GitHub does not know: the state is used up, and the terminal tells it.
    let (to, _) = back.split_once("?code=").unwrap();
    let state = back.rsplit_once("&state=").unwrap().1;
    let wrong = call("GET", &format!("{to}?code=guess&state={state}"), None, "");
    assert_eq!(wrong.status, 502, "{}", wrong.body);
    setup.end().failed(1, &["GitHub does not know this code", "begin again"]);
    assert!(!place.path("github-app.pem").exists() && !place.path("webhook-secret").exists());
    let left = fs::read_dir(place.path("")).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(".tmp")
    });
    assert_eq!(left.count(), 0, "no file is left");
}

#[test]
fn nothing_is_overwritten_unless_that_is_wanted() {
    let (place, github) = (Place::new(), GitHub::open());
    fs::write(place.path("github-app.pem"), "mine").unwrap();
    let mut command = program();
    command.args(["github", "setup", "--api-url", github.server.url(), "--config"]).arg(place.config());
    ran(command.output().unwrap()).failed(2, &["github-app.pem is there already", "--force"]);
    assert_eq!(fs::read_to_string(place.path("github-app.pem")).unwrap(), "mine");
    let setup = Setup::start(&place, &github, &["--org", "acme", "--force"]);
    // It is the old one until GitHub has given a new one.
    assert_eq!(fs::read_to_string(place.path("github-app.pem")).unwrap(), "mine");
    assert_eq!(call("GET", &setup.press(), None, "").status, 200);
    let ended = setup.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(fs::read_to_string(place.path("github-app.pem")).unwrap().contains("PRIVATE KEY"));
    // Without a webhook there is no secret of one.
    assert!(!place.path("webhook-secret").exists());
    fs::remove_file(place.path("github-app.pem")).unwrap();
    let mut command = program();
    command.args(["github", "setup", "--api-url", github.server.url(), "--config"]).arg(place.config());
    ran(command.output().unwrap()).failed(2, &["an `app_id` below [github] already"]);
}
