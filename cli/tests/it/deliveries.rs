//! Deliveries as GitHub documents them, sent to the daemon as files and as forms: the answer to each is reviewed.

use std::{fmt::Write as _, fs};

use sim::payloads;

use crate::bench::{Daemon, Place, until};

/// Serves an organisation and a person; nothing public.
fn place() -> Place {
    let place = Place::new();
    let text = format!(
        "listen = \"127.0.0.1:0\"\ndata_dir = {data:?}\n[github]\napi_url = \"http://127.0.0.1:9\"\n\
         [engine]\nkind = \"process\"\nrunner_dir = {runner:?}\n\
         [owners.acme]\norganization = true\n[owners.anna]\n\
         [[classes]]\nname = \"small\"\nlabels = [\"self-hosted\", \"linux\"]\nmax = 1\n",
        data = place.path("data"),
        runner = place.path("runner"),
    );
    fs::write(place.config(), text).unwrap();
    place
}

#[test]
fn each_documented_delivery_has_its_answer() {
    let place = place();
    let daemon = Daemon::start(&place);
    let mut table = String::new();
    for payload in &payloads::ALL {
        let (status, body) = daemon.deliver(payload.event, payload.json);
        writeln!(table, "{:<30} {status} {body}", payload.name).unwrap();
    }
    insta::assert_snapshot!("answers", table);
    for payload in payloads::ALL.iter().filter(|payload| table_says(&table, payload.name, "accepted")) {
        let (status, body) = daemon.deliver(payload.event, payload.json);
        assert!(status == 202 && body.contains("duplicate"), "{} again: {body}", payload.name);
    }
    for (job, words) in [("58000000006", "does not ask for `self-hosted`"), ("58000000008", "is public is not known")] {
        let why = until("the reason", || {
            let ran = place.ask(&["why", job]);
            (ran.code == 0).then_some(ran.out)
        });
        assert!(why.contains(words), "{why}");
    }
}

fn table_says(table: &str, name: &str, word: &str) -> bool {
    table.lines().any(|line| line.split(' ').next() == Some(name) && line.contains(word))
}
