//! .NET, started through `dotnet`. A published executable names itself (`compiled`).

use super::options::{self, Table};
use super::{Hint, Launch, Name, folder};

/// Options of `dotnet`.
const DOTNET: Table = Table {
    valued: &[
        "--additionalprobingpath",
        "--additional-deps",
        "--depsfile",
        "--fx-version",
        "--roll-forward",
        "--runtimeconfig",
        "--roll-forward-on-no-candidate-fx",
    ],
    last: &[],
    clustered: false,
};

pub(super) fn hint(launch: &Launch<'_>) -> Hint {
    let parsed = DOTNET.parse(launch.arguments());
    let Some((first, rest)) = parsed.operands.split_first() else {
        return Hint::default();
    };
    match first.as_str() {
        "exec" => match DOTNET.parse(rest).operands.first() {
            Some(library) => of_library(launch, library),
            None => Hint::default(),
        },
        // The built program runs as a child of these.
        "run" | "watch" | "test" => {
            let project = options::value(rest, &["--project", "-p"]);
            match project {
                Some(project) if project.ends_with("proj") => of_library(launch, project),
                Some(project) => launch
                    .full(project)
                    .as_deref()
                    .and_then(super::in_folder)
                    .into(),
                None => launch.cwd.and_then(super::in_folder).into(),
            }
        }
        library => of_library(launch, library),
    }
}

fn of_library(launch: &Launch<'_>, library: &str) -> Hint {
    // `Acme.Shop.dll`: the last dot is the ending's, the others are the name's.
    let name: &str = folder::stem(library);
    if folder::is_telling(name) {
        return Name::from_text(name, "assembly").into();
    }
    Hint::of_file(name, launch.folder_of(library).as_deref(), "assembly")
}
