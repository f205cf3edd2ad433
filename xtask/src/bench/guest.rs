//! The files of a guest that measures: services come in, an initramfs with all that they need of
//! this machine goes out.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::service::{Needs, Service, UPSTREAM};
use crate::vm::{self, contents, initramfs::Archive};
use crate::workspace;

/// What the services of these names need, in an archive called `name`. Each becomes a line of
/// `/etc/workloads`, which `tests/vm/instructions` reads.
///
/// # Errors
/// When something is not installed here.
pub(super) fn initramfs(name: &str, weft: &Path, services: &[&Service]) -> Result<PathBuf> {
    let mut archive = vm::basis("instructions", weft)?;
    let mut list = String::new();
    for service in services {
        let folder = service.installed();
        contents::tree(&mut archive, &folder)?;
        needs(&mut archive, service)?;
        let variables: Vec<String> = service
            .variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        list.push_str(&format!(
            "{} {} {} {} {} {} env {} ./run\n",
            service.name,
            service.connections,
            service.warm_up,
            service.seconds,
            service.path,
            folder.display(),
            variables.join(" "),
        ));
    }
    archive.file("etc/workloads", list.as_bytes());
    let upstream = workspace::workloads().join(UPSTREAM);
    contents::tree(&mut archive, &upstream)?;
    archive.file(
        "etc/upstream",
        format!("{}\n", upstream.display()).as_bytes(),
    );
    // whom nginx's workers become
    archive.file(
        "etc/passwd",
        b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    );
    archive.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n");
    contents::program(&mut archive, "wrk")?;
    archive.write(&format!("{name}.initramfs"))
}

fn needs(archive: &mut Archive, service: &Service) -> Result<()> {
    match &service.needs {
        Needs::Native | Needs::Nothing => Ok(()),
        Needs::Program(name) => contents::program(archive, name),
        Needs::Own(name) => {
            let path = service.installed().join(name);
            contents::libraries(archive, &path)?;
            archive.host_file(&path)
        }
        Needs::Python(program, modules) => {
            contents::python(archive, &service.installed(), program, modules)
        }
    }
}
