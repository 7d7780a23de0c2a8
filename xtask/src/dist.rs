//! `cargo xtask dist`: what is deployed and published for one architecture, with checksums. The functions as AWS Lambda
//! takes them (a zip with one program `bootstrap`), the agent as an image takes it (one static program).
//!
//! Functions use the C library of Amazon Linux 2023, so they must need nothing newer; that is looked at here. The agent
//! uses none: an image may have another, or none at all.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use sha2::{Digest as _, Sha256};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

const USAGE: &str = "usage: cargo xtask dist --arch arm64|x86_64 [--out DIR] [--profile NAME] [--functions]

  --arch ARCH     of the functions and the agent
  --out DIR       where they go; else dist/ARCH
  --profile NAME  how they are built: else `dist`, small and slow to build; `dev` to try something
  --functions     without the agent";

/// The functions: name on AWS, and of the program in `lambdas/src/bin`.
const FUNCTIONS: [(&str, &str); 5] = [
    ("WebhookHandlerGHA", "webhook"),
    ("ScalerHandler", "scaler"),
    ("SweepHandler", "sweep"),
    ("AgentHandler", "agents"),
    ("HelloHandler", "hello"),
];

/// Minor version of glibc 2 in Amazon Linux 2023, which `provided.al2023` is.
const GLIBC_MINOR: u32 = 34;

struct Arguments {
    arch: Arch,
    out: PathBuf,
    profile: String,
    functions_only: bool,
}

#[derive(Clone, Copy)]
enum Arch {
    Arm64,
    X86_64,
}

impl Arch {
    fn read(text: &str) -> Option<Self> {
        match text {
            "arm64" => Some(Self::Arm64),
            "x86_64" => Some(Self::X86_64),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }
}

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let Some(arguments) = parse(arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match make(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Option<Arguments> {
    let (mut arch, mut out, mut profile, mut functions_only) = (None, None, "dist".to_owned(), false);
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        match name.as_str() {
            "--functions" => functions_only = true,
            "--arch" => arch = Some(Arch::read(rest.next()?)?),
            "--out" => out = Some(PathBuf::from(rest.next()?)),
            "--profile" => profile.clone_from(rest.next()?),
            _ => return None,
        }
    }
    let arch = arch?;
    let out = out.unwrap_or_else(|| Path::new("dist").join(arch.name()));
    Some(Arguments { arch, out, profile, functions_only })
}

fn make(arguments: &Arguments) -> Result<(), String> {
    let Arguments { arch, out, profile, functions_only } = arguments;
    if !has_target(*arch)? {
        return Err(lacking(*arch));
    }
    fs::create_dir_all(out).map_err(|error| format!("cannot make {}: {error}", out.display()))?;
    let programs = build(*arch, profile, "lambdas", "")?;
    let mut made = Vec::new();
    for (name, program) in FUNCTIONS {
        let code = read(&programs.join(program))?;
        fits_lambda(name, &code)?;
        let zip = zipped(&code, level(profile)).map_err(|error| format!("{name}: {error}"))?;
        is_small(name, &zip, profile)?;
        made.push((format!("{name}.zip"), zip));
    }
    if !functions_only {
        let agent = build(*arch, profile, "agent", "-Ctarget-feature=+crt-static")?.join("agent");
        made.push((format!("self-runners-agent-{}", arch.name()), read(&agent)?));
    }
    put(out, &made)
}

/// Whether the standard library for this architecture is installed.
fn has_target(arch: Arch) -> Result<bool, String> {
    let asked = Command::new("rustc").args(["--print", "target-libdir", "--target", arch.target()]).output();
    let output = asked.map_err(|error| format!("cannot run rustc: {error}"))?;
    Ok(Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

fn lacking(arch: Arch) -> String {
    format!(
        "this toolchain has no standard library for {target}, so nothing can be built for {arch} here.\n\
         Either `rustup target add {target}` and a linker for it, or run this command on a machine of that kind, or take\n\
         the files that the release workflow published (.github/workflows/release.yml).",
        target = arch.target(),
        arch = arch.name(),
    )
}

/// Builds the programs of a package; the folder that they are in. With flags they are built apart from what this machine
/// runs, or the compiler's own plugins would be built with them.
fn build(arch: Arch, profile: &str, package: &str, flags: &str) -> Result<PathBuf, String> {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.args(["build", "--locked", "--bins", "--profile", profile]);
    // To try something: what tests have built is good for it, if all packages are named as they name them.
    let (whole, one) = (["--workspace", "--features", "self-runners/aws"], ["--package", package]);
    cargo.args(if profile == DEV { &whole[..] } else { &one[..] });
    // What `cargo run` tells this program of itself: ring's build script would take it for a change, and all that is built
    // on it would be built anew here, and once more by the next command.
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    let mut folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    if !flags.is_empty() || !arch.target().starts_with(std::env::consts::ARCH) {
        let flags_of_target = format!("CARGO_TARGET_{}_RUSTFLAGS", arch.target().to_uppercase().replace('-', "_"));
        cargo.args(["--target", arch.target()]).env(flags_of_target, flags);
        folder.push(arch.target());
    }
    let status = cargo.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err(format!("{package} does not build for {}: see above", arch.target()));
    }
    // Cargo's one profile that is not called as its folder.
    Ok(folder.join(if profile == DEV { "debug" } else { profile }))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Refuses a program that Lambda could not load.
fn fits_lambda(name: &str, code: &[u8]) -> Result<(), String> {
    match glibc_minor(code) {
        Some(minor) if minor > GLIBC_MINOR => Err(format!(
            "{name} needs glibc 2.{minor}, Lambda has 2.{GLIBC_MINOR}: build on an older system (Debian 12, Ubuntu 22.04)"
        )),
        _ => Ok(()),
    }
}

/// The newest glibc 2 that a program names a symbol of.
fn glibc_minor(code: &[u8]) -> Option<u32> {
    const MARK: &[u8] = b"GLIBC_2.";
    let behind = code.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    behind
        .filter_map(|(at, _)| {
            let digits = code[at + MARK.len()..].iter().take_while(|byte| byte.is_ascii_digit());
            String::from_utf8(digits.copied().collect()).ok()?.parse().ok()
        })
        .max()
}

/// Each delivery of GitHub waits for this one to start: what is published of it stays small (docs/performance.md).
fn is_small(name: &str, zip: &[u8], profile: &str) -> Result<(), String> {
    if profile != "dist" || name != "WebhookHandlerGHA" || zip.len() <= WEBHOOK_ZIP_BYTES_MAX {
        return Ok(());
    }
    Err(format!("{name}.zip has {} bytes, more than {WEBHOOK_ZIP_BYTES_MAX}: look what it links", zip.len()))
}

/// What was promised.
const WEBHOOK_ZIP_BYTES_MAX: usize = 4_000_000;

/// Cargo's profile of `cargo build`.
const DEV: &str = "dev";

/// How hard the zip is made: what is not published may be large.
fn level(profile: &str) -> i64 {
    if profile == "dist" { 9 } else { 1 }
}

/// The same program yields the same bytes, so that an unchanged function is not deployed again.
fn zipped(code: &[u8], level: i64) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(level))
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o755);
    zip.start_file("bootstrap", options)?;
    zip.write_all(code)?;
    Ok(zip.finish()?.into_inner())
}

/// Writes the files and what `sha256sum --check` reads.
fn put(out: &Path, made: &[(String, Vec<u8>)]) -> Result<(), String> {
    let mut sums = String::new();
    for (name, bytes) in made {
        write(&out.join(name), bytes)?;
        sums += &format!("{}  {name}\n", hex(&Sha256::digest(bytes)));
        println!("  {:>9.2} MB  {name}", bytes.len() as f64 / 1e6);
    }
    write(&out.join("SHA256SUMS"), sums.as_bytes())?;
    println!("in {}", out.display());
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_lambda_cannot_load_is_refused() {
        let code = b"\x7fELF..GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0";
        assert_eq!(glibc_minor(code), Some(34));
        assert!(fits_lambda("X", code).is_ok());
        let said = fits_lambda("X", b"GLIBC_2.39\0").unwrap_err();
        assert!(said.contains("X needs glibc 2.39"), "{said}");
    }

    #[test]
    fn the_same_program_yields_the_same_zip_with_one_executable() {
        let zip = zipped(b"code", 9).unwrap();
        assert_eq!(zip, zipped(b"code", 9).unwrap());
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
        let file = archive.by_index(0).unwrap();
        assert_eq!((file.name(), file.unix_mode().map(|mode| mode & 0o777)), ("bootstrap", Some(0o755)));
    }
}
