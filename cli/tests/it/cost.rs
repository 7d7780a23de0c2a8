//! `docs/cost.md`, made from what `cost` says of the usual configuration, and what is typed wrongly.

use std::{fs, path::PathBuf};

use aws::cost::{PRICES, Prices};

use crate::bench::{Place, run, write};

const USUAL: &str = "stage = \"production\"\n[owners.acme]\norganization = true\n[aws]\nregion = \"us-east-1\"\nimage = \"123456789012.dkr.ecr.us-east-1.amazonaws.com/runner:1\"\n";

const PROSE: &str = include_str!("cost.md");

#[test]
fn the_document_is_what_the_command_says() {
    let place = Place::new();
    let of = |name: &str, text: &str| {
        let file = place.path(name);
        write(&file, text);
        let ran = run(&["cost", "--config", file.to_str().unwrap()]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
        ran.out
    };
    let prices = Prices::read(PRICES).unwrap();
    let row = |(name, usd, free, source): (&str, f64, f64, &str)| {
        let free = if free > 0.0 { free.to_string() } else { String::new() };
        format!("| `{name}` | {usd} | {free} | {source} |\n")
    };
    // Of all that it says only the hours.
    let hours = |text: &str| {
        let from = text.find("RUNNER, AN HOUR").unwrap();
        text[from..].split("\n\n").next().unwrap().to_owned()
    };
    let made = PROSE
        .replace("{sizes}", &hours(&of("sizes.toml", &sizes())))
        .replace("{dynamodb}", of("dynamodb.toml", USUAL).trim_end())
        .replace("{valkey}", of("valkey.toml", &format!("{USUAL}state = \"valkey\"\n")).trim_end())
        .replace("{prices}", prices.sources().map(row).collect::<String>().trim_end());
    let at = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/cost.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&at, &made).unwrap();
    }
    let there = fs::read_to_string(&at).unwrap_or_default();
    assert!(there == made, "docs/cost.md is old: `UPDATE_DOCS=1 cargo test -p self-runners --features aws` and look");
}

/// A class for each of some sizes and each architecture.
fn sizes() -> String {
    let sizes = [(1, 2), (2, 8), (4, 16), (8, 32), (16, 64)];
    let class = |arch: &'static str| {
        sizes.map(|(cpu, gb)| {
            format!(
                "[[classes]]\nname = \"{arch}-{cpu}\"\nlabels = [\"self-hosted\", \"{arch}-{cpu}\"]\nsize = {{ cpu_milli = {}, \
                 memory_mb = {}, disk_gb = 75, arch = \"{arch}\" }}\n",
                cpu * 1_000,
                gb * 1_024
            )
        })
    };
    let classes = ["arm64", "x86_64"].map(|arch| class(arch).concat()).concat();
    format!("{USUAL}{classes}")
}

#[test]
fn a_first_file_for_aws_is_good() {
    let place = Place::new();
    let file = place.path("aws.toml");
    let init = |region: &str, image: &str| {
        let file = file.to_str().unwrap();
        run(&[
            "config", "init", "--aws", "--config", file, "--owner", "acme", "--org", "--region", region, "--image",
            image,
        ])
    };
    init("eu-west-1", "runner").failed(2, &["nothing was written: aws.image", "no URI of an image"]);
    let made = init("eu-west-1", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/runner:1");
    assert!(made.code == 0 && made.out.contains("self-runners deploy --config"), "{made:?}");
    let told = run(&["cost", "--config", file.to_str().unwrap()]);
    assert!(told.code == 0 && told.out.contains("4 vCPU, 16 GB, 75 GB disk, arm64"), "{told:?}");
}

#[test]
fn other_prices_can_be_given_and_must_be_whole() {
    let place = Place::new();
    let (config, prices) = (place.path("c.toml"), place.path("prices.json"));
    write(&config, USUAL);
    let words = ["cost", "--config", config.to_str().unwrap(), "--prices", prices.to_str().unwrap(), "--json"];
    run(&words).failed(2, &["cannot read the prices"]);
    write(&prices, "{}");
    run(&words).failed(2, &["no list of prices"]);
    write(&prices, &PRICES.replace("\"usd\": 0.005", "\"usd\": -1"));
    run(&words).failed(2, &["prices.json: the price `public_ipv4_hour` is below nothing"]);
    write(
        &prices,
        &PRICES.replacen("\"kms_key_month\"", "\"kms\": {\"usd\": 1, \"source\": \"x\"}, \"kms_key_month\"", 1),
    );
    run(&words).failed(2, &["nothing is priced as `kms`"]);
    write(&prices, &PRICES.replace("us-east-1", "eu-central-1"));
    let ran = run(&words);
    assert!(ran.code == 0 && ran.out.contains(r#""region":"eu-central-1""#), "{ran:?}");
    assert!(ran.out.contains(r#""jobs":1000,"minutes":10"#), "{ran:?}");
}
