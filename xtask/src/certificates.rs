//! A certificate authority of the moment, and a certificate of this host by it: made by openssl
//! below `target/xtask`, never kept in the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Makes all that services and clients may ask for, in the folder that it answers: `ca.pem`,
/// `cert.pem`, `key.pem` (PKCS 8), and `both.pem` with certificate and key.
///
/// # Errors
/// When openssl is not there or fails.
pub(crate) fn make() -> Result<PathBuf> {
    let dir = workspace::kept().join("certificates");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let request = "req -x509 -newkey rsa:2048 -nodes -sha256 -days 7";
    openssl(
        &dir,
        &format!("{request} -keyout ca.key -out ca.pem"),
        &["-subj", "/CN=weft test authority"],
    )?;
    openssl(
        &dir,
        "req -newkey rsa:2048 -nodes -sha256 -keyout key.pem -out cert.csr",
        &["-subj", "/CN=localhost"],
    )?;
    let extensions = "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n";
    fs::write(dir.join("extensions"), extensions)?;
    openssl(
        &dir,
        "x509 -req -sha256 -days 7 -in cert.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -extfile extensions",
        &[],
    )?;
    let both = [dir.join("cert.pem"), dir.join("key.pem")].map(fs::read);
    let [cert, key] = both;
    fs::write(dir.join("both.pem"), [cert?, key?].concat())?;
    // services drop their rights before they read it
    for name in ["key.pem", "both.pem"] {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o644))?;
    }
    Ok(dir)
}

fn openssl(dir: &Path, words: &str, more: &[&str]) -> Result<()> {
    let output = Command::new("openssl")
        .args(words.split(' '))
        .args(more)
        .current_dir(dir)
        .output()
        .context("cannot start openssl\nhint: apt-get install openssl")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("openssl {words}: {}", said.trim())
}
