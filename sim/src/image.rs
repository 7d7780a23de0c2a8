//! An image for containers of a try or a test: the agent and the stand-in for the runner program, with bash and the usual
//! small tools, from scratch. No registry is asked: everything is a file of this machine.
//!
//! A static program is taken as it is; what is not brings its libraries and its loader along, under their own names.
//! Official runners have an image of their own; this one is for the simulated GitHub alone.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use fleet::wire::env;
use tar::{Builder, EntryType, Header};

use crate::standin;

/// A root file system, and what else the engine is told of it.
#[derive(Debug, Clone)]
pub struct Image {
    /// The file system, as a tar archive.
    pub tar: Vec<u8>,
    /// Lines as in a Dockerfile.
    pub changes: Vec<String>,
}

/// Makes it. `exe` is the agent when it is called with the word `agent`, and plays the stand-in as
/// [`standin::install`] wants it.
///
/// # Errors
/// `exe` cannot be read, or this machine has no bash.
pub fn image(exe: &Path) -> io::Result<Image> {
    let mut files = Files::default();
    files.program(PROGRAM, exe)?;
    files
        .program("/bin/bash", &find(BASHES).ok_or_else(|| io::Error::other("this machine has no bash: install it"))?)?;
    files.link("/bin/sh", "bash");
    tools(&mut files)?;
    files.text("/etc/passwd", "root:x:0:0:root:/:/bin/sh\nrunner:x:1000:1000:runner:/home/runner:/bin/bash\n");
    files.text("/etc/group", "root:x:0:\nrunner:x:1000:\n");
    runner_folder(&mut files);
    Ok(Image { tar: files.archive()?, changes: changes() })
}

fn changes() -> Vec<String> {
    vec![
        format!("ENTRYPOINT [\"{PROGRAM}\", \"agent\"]"),
        format!("ENV PATH=/usr/local/bin:/usr/bin:/bin HOME={HOME} {}={HOME}", env::RUNNER_DIR),
        format!("USER {RUNNER_ID}:{RUNNER_ID}"),
        format!("WORKDIR {HOME}"),
    ]
}

/// One program with many names where there is one, else those of this machine that jobs use most.
fn tools(files: &mut Files) -> io::Result<()> {
    if let Some(busybox) = find(&["busybox"]) {
        files.program("/bin/busybox", &busybox)?;
        let listed = Command::new(&busybox).arg("--list").output()?;
        for name in String::from_utf8_lossy(&listed.stdout).lines().filter(|name| !NOT_LINKS.contains(name)) {
            files.link(&format!("/bin/{name}"), "busybox");
        }
    } else {
        for name in TOOLS {
            if let Some(tool) = find(&[name]) {
                files.program(&format!("/bin/{name}"), &tool)?;
            }
        }
    }
    files.link("/usr/bin/env", "/bin/env");
    Ok(())
}

/// The folder as the process engine would copy it: the runner user's own.
fn runner_folder(files: &mut Files) {
    for (name, text) in [("run.sh", standin::RUN), ("config.sh", standin::CONFIG)] {
        files.owned(&format!("{HOME}/{name}"), Entry::File(text.into()));
    }
    for name in [standin::LISTENER, standin::WORKER] {
        files.owned(&format!("{HOME}/bin/{name}"), Entry::Link(PROGRAM.into()));
    }
    for folder in [HOME.to_owned(), format!("{HOME}/bin")] {
        files.owned(&folder, Entry::Folder(FOLDER_MODE));
    }
    files.put("/tmp", Entry::Folder(SHARED_MODE));
}

/// The first of these that this machine's `PATH` has.
fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| dirs.iter().map(|dir| dir.join(name)).find(|file| file.is_file()))
}

/// The libraries and the loader of a program, by `ldd`; none of a static one.
fn libraries(program: &Path) -> io::Result<Vec<PathBuf>> {
    let told = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let words = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(words.map(PathBuf::from).filter(|path| path.is_file()).collect())
}

/// What is at a path.
#[derive(Debug)]
enum Entry {
    File(Vec<u8>),
    Link(PathBuf),
    Folder(u32),
}

/// The root file system, by path; `true`: the runner's own.
#[derive(Debug, Default)]
struct Files(BTreeMap<String, (Entry, bool)>);

impl Files {
    fn put(&mut self, path: &str, entry: Entry) {
        self.0.insert(path.to_owned(), (entry, false));
    }

    fn owned(&mut self, path: &str, entry: Entry) {
        self.0.insert(path.to_owned(), (entry, true));
    }

    fn text(&mut self, path: &str, text: &str) {
        self.put(path, Entry::File(text.into()));
    }

    fn link(&mut self, path: &str, to: &str) {
        self.put(path, Entry::Link(to.into()));
    }

    /// A program of this machine with all that it needs to begin.
    fn program(&mut self, path: &str, from: &Path) -> io::Result<()> {
        let from = fs::canonicalize(from)?;
        for library in libraries(&from)? {
            self.put(&library.to_string_lossy(), Entry::File(fs::read(&library)?));
        }
        self.put(path, Entry::File(fs::read(&from)?));
        Ok(())
    }

    fn archive(&self) -> io::Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        for (path, (entry, owned)) in &self.0 {
            append(&mut tar, path.trim_start_matches('/'), entry, *owned)?;
        }
        tar.into_inner()
    }
}

fn append(tar: &mut Builder<Vec<u8>>, path: &str, entry: &Entry, owned: bool) -> io::Result<()> {
    let mut header = Header::new_gnu();
    let id = if owned { RUNNER_ID } else { 0 };
    header.set_uid(id);
    header.set_gid(id);
    header.set_mode(PROGRAM_MODE);
    header.set_size(0);
    match entry {
        Entry::File(bytes) => {
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, path, bytes.as_slice())
        }
        Entry::Link(to) => {
            header.set_entry_type(EntryType::Symlink);
            tar.append_link(&mut header, path, to)
        }
        Entry::Folder(mode) => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(*mode);
            tar.append_data(&mut header, format!("{path}/"), io::empty())
        }
    }
}

/// Where the agent is in the image.
const PROGRAM: &str = "/usr/local/bin/self-runners";

/// Home of the runner user, and folder of the runner program.
const HOME: &str = "/home/runner";

/// User and group that runners have: any but root.
const RUNNER_ID: u64 = 1000;

/// A static one needs no libraries.
const BASHES: &[&str] = &["bash-static", "bash"];

/// Names that busybox has too, and that are something else in the image: bash, and busybox itself.
const NOT_LINKS: [&str; 3] = ["sh", "bash", "busybox"];

/// What steps of jobs call most.
const TOOLS: [&str; 42] = [
    "awk",
    "basename",
    "cat",
    "chmod",
    "cmp",
    "cp",
    "cut",
    "date",
    "df",
    "dirname",
    "env",
    "expr",
    "false",
    "find",
    "grep",
    "gzip",
    "head",
    "hostname",
    "id",
    "kill",
    "ln",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "ps",
    "pwd",
    "readlink",
    "rm",
    "sed",
    "seq",
    "sha256sum",
    "sleep",
    "stat",
    "sort",
    "tail",
    "tar",
    "tee",
    "touch",
    "tr",
    "true",
    "wc",
];

const PROGRAM_MODE: u32 = 0o755;
const FOLDER_MODE: u32 = 0o755;
/// Everybody may make files, each its own.
const SHARED_MODE: u32 = 0o1777;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_image_has_the_agent_a_shell_and_a_folder_that_is_the_runners() {
        let made = image(&std::env::current_exe().unwrap()).unwrap();
        let mut archive = tar::Archive::new(made.tar.as_slice());
        let (mut paths, mut owners) = (BTreeSet::new(), BTreeMap::new());
        let mut links = Vec::new();
        for entry in archive.entries().unwrap().map(Result::unwrap) {
            let path = entry.path().unwrap().to_string_lossy().trim_end_matches('/').to_owned();
            owners.insert(path.clone(), entry.header().uid().unwrap());
            links.extend(entry.link_name().unwrap().map(|to| (path.clone(), to.to_string_lossy().into_owned())));
            paths.insert(path);
        }
        for (path, to) in links {
            let to = if let Some(whole) = to.strip_prefix('/') { whole.to_owned() } else { format!("bin/{to}") };
            assert!(paths.contains(&to) && path != to, "{path} leads to {to}");
        }
        for path in
            ["usr/local/bin/self-runners", "bin/bash", "bin/sh", "bin/sleep", "usr/bin/env", "home/runner/run.sh"]
        {
            assert!(paths.contains(path), "{path} is not in {paths:?}");
        }
        assert_eq!((owners["home/runner"], owners["home/runner/bin"], owners["bin/bash"]), (1000, 1000, 0));
        assert!(made.changes[0].contains("\"agent\""));
    }

    #[test]
    fn what_is_not_static_brings_its_loader() {
        let needed = libraries(&find(&["env"]).unwrap()).unwrap();
        assert!(needed.iter().all(|path| path.is_absolute()));
        assert!(libraries(Path::new("/proc/self/mounts")).unwrap().is_empty(), "no program, no libraries");
    }
}
