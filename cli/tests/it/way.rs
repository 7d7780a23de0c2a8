//! Ways to AWS that lead nowhere: no credentials, a proxy's page, a wrong clock, nobody there. Each with the message that a
//! person reads.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use tempfile::TempDir;

use crate::bench::{Ran, program, ran, write};

const CONFIG: &str =
    "stage = \"dev\"\n[owners.acme]\n[aws]\nregion = \"eu-west-1\"\nimage = \"ghcr.io/acme/runner:1\"\n";

const PROFILES: &str = "[profile fails]\ncredential_process = /bin/false\n\
                        [profile lies]\ncredential_process = /bin/echo hello\n\
                        [profile sso]\nsso_start_url = https://acme.awsapps.com/start\nsso_region = eu-west-1\n\
                        sso_account_id = 111122223333\nsso_role_name = dev\n\
                        [profile role]\nrole_arn = arn:aws:iam::111122223333:role/x\nsource_profile = missing\n";

const KEY: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key")];

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("self-runners.toml"), CONFIG);
    write(&folder.path().join("profiles"), PROFILES);
    folder
}

fn status(folder: &TempDir, variables: &[(&str, &str)], more: &[&str]) -> Ran {
    let mut command = program();
    command.args(["status", "--stage", "dev"]).args(more).current_dir(folder.path());
    command.env("HOME", folder.path()).env("AWS_CONFIG_FILE", "profiles").env("AWS_EC2_METADATA_DISABLED", "true");
    for name in ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"] {
        command.env_remove(name);
    }
    ran(command.envs(variables.iter().copied()).output().unwrap())
}

/// Gives each who asks this answer, and tells the first line of what it was asked. Ends with the program.
fn answering(answer: String) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut asked) = (stream.unwrap(), [0; 4096]);
            let length = stream.read(&mut asked).unwrap_or_default();
            let text = String::from_utf8_lossy(&asked[..length]).into_owned();
            let _over = tell.send(text.lines().next().unwrap_or_default().to_owned());
            let _gone = stream.write_all(answer.as_bytes());
        }
    });
    (url, told)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn why_there_are_no_credentials_is_told() {
    for (profile, why) in [
        ("nope", "(profile `nope` was not defined"),
        ("role", "(profile `missing` was not defined: could not find source profile missing referenced from role)"),
        ("fails", "external process exited with code exit status: 1)"),
        ("lies", "could not parse response: invalid JSON"),
        ("sso", "failed to read `"),
    ] {
        let asked = format!("the profile asked for is `{profile}`");
        status(&folder(), &[("AWS_PROFILE", profile)], &[]).failed(1, &[why, "aws sso login", &asked]);
    }
    let told = status(&folder(), &[], &[]);
    assert!(told.err.contains("there are no credentials for AWS: set AWS_PROFILE"), "{told:?}");
}

#[test]
fn whoever_is_not_aws_is_named() {
    let page = "<html>hunter2</html>";
    for status_line in ["502 Bad Gateway", "500 Internal Server Error", "403 Forbidden", "200 OK"] {
        let (url, _) = answering(answer(status_line, page));
        let number = status_line.split(' ').next().unwrap();
        let told = status(&folder(), &KEY, &["--endpoint-url", &url]);
        assert!(!told.err.contains("hunter2"), "{told:?}");
        told.failed(1, &[&format!("the answer from {url} (HTTP {number}) is none of AWS's: look at proxy")]);
    }
    let empty = "<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>";
    let (url, _) = answering(answer("200 OK", empty));
    status(&folder(), &KEY, &["--endpoint-url", &url]).failed(1, &["names no account"]);
}

#[test]
fn where_nobody_listens_the_address_is_told() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    status(&folder(), &KEY, &["--endpoint-url", &url])
        .failed(1, &[&format!("{url} cannot be reached: Connection refused"), "look at network and proxy"]);
}

/// Of the right form, and of no place on earth. Asked through a proxy, so that no test asks for names outside.
#[test]
fn a_region_that_does_not_exist_is_doubted() {
    let folder = folder();
    write(&folder.path().join("self-runners.toml"), &CONFIG.replace("eu-west-1", "eu-mars-9"));
    let (proxy, _) = answering("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n".into());
    let way = [KEY[0], KEY[1], ("HTTPS_PROXY", proxy.as_str()), ("NO_PROXY", "")];
    status(&folder, &way, &[])
        .failed(1, &["https://sts.eu-mars-9.amazonaws.com cannot be reached", "whether `eu-mars-9` is a Region"]);
}

#[test]
fn a_wrong_clock_is_told() {
    let message = "Signature expired: 20261127T100000Z is now earlier than 20261127T110000Z";
    let error = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>M</Message></Error></ErrorResponse>";
    let (url, _) = answering(answer("403 Forbidden", &error.replace("M</", &format!("{message}</"))));
    status(&folder(), &KEY, &["--endpoint-url", &url]).failed(1, &["this machine's clock is wrong (Signature expired"]);
}

/// As a company's network wants it. What is on this machine is reached without.
#[test]
fn https_goes_through_the_proxy_that_the_environment_names() {
    let (proxy, asked) = answering("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n".into());
    let way = [KEY[0], KEY[1], ("HTTPS_PROXY", proxy.as_str()), ("HTTP_PROXY", proxy.as_str()), ("NO_PROXY", "")];
    status(&folder(), &way, &[]).failed(1, &["https://sts.eu-west-1.amazonaws.com cannot be reached", "proxy"]);
    assert_eq!(asked.recv().unwrap(), "CONNECT sts.eu-west-1.amazonaws.com:443 HTTP/1.1");
    let (url, _) = answering(answer("500 Oops", ""));
    status(&folder(), &way, &["--endpoint-url", &url]).failed(1, &[&format!("the answer from {url}")]);
}
