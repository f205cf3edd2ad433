//! Java and what else runs on its virtual machine.

use super::options::Table;
use super::{Hint, Launch, Name, folder};
use std::path::Path;

/// Options of `java`.
const JAVA: Table = Table {
    valued: &[
        "-cp",
        "-classpath",
        "--class-path",
        "-p",
        "--module-path",
        "--upgrade-module-path",
        "--add-modules",
        "--add-opens",
        "--add-exports",
        "--add-reads",
        "--limit-modules",
        "--patch-module",
        "--enable-native-access",
        "--illegal-native-access",
        "--source",
        "--describe-module",
        "-d",
        "--finalization",
        "--sun-misc-unsafe-memory-access",
    ],
    last: &["-jar", "-m", "--module"],
    clustered: false,
};

/// Where Spring applications are given their names, by beginning.
const SPRING: &[&str] = &[
    "-Dspring.application.name=",
    "--spring.application.name=",
    "-Dotel.service.name=",
    "-Dquarkus.application.name=",
    "-Dmicronaut.application.name=",
];

/// Main classes that start what others wrote.
const LAUNCHERS: &[&str] = &[
    "JarLauncher",
    "WarLauncher",
    "PropertiesLauncher",
    "Bootstrap",
    "Launcher",
    "Main",
    "QuarkusEntryPoint",
    "GradleWrapperMain",
    "AppLauncher",
    "Application",
    "App",
    "Program",
    "MavenWrapperMain",
];

/// Parts of a package's path that group others.
const DOMAINS: &[&str] = &[
    "com", "org", "net", "io", "dev", "example", "main", "boot", "loader", "launch",
];

pub(super) fn hint(launch: &Launch<'_>) -> Hint {
    let args = launch.arguments();
    let given = SPRING.iter().find_map(|option| {
        args.iter()
            .find_map(|argument| argument.strip_prefix(option))
    });
    let given = given.or_else(|| launch.environment.value("SPRING_APPLICATION_NAME"));
    if let Some(name) = given.and_then(|given| Name::from_text(given, "application name")) {
        return Some(name).into();
    }
    if let Some(base) = args
        .iter()
        .find_map(|arg| arg.strip_prefix("-Dcatalina.base="))
    {
        return Name::from_text(&folder::name(Path::new(base)).unwrap_or_default(), "folder")
            .into();
    }
    let parsed = JAVA.parse(args);
    match (parsed.last, parsed.operands.first()) {
        (Some(("-jar", jar)), _) => of_jar(launch, jar),
        (Some((_, module)), _) => of_module(launch, module),
        (None, Some(class)) if class.ends_with(".java") => {
            Hint::of_file_as_is(launch, folder::stem(class), class)
        }
        (None, Some(class)) => of_class(launch, class),
        (None, None) => Hint::default(),
    }
}

impl Hint {
    /// A class that someone named, though `Server` would say little in other languages.
    fn of_file_as_is(launch: &Launch<'_>, stem: &str, file: &str) -> Self {
        if LAUNCHERS.contains(&stem) {
            let folder = launch.folder_of(file);
            return Self {
                name: folder.as_deref().and_then(super::in_folder),
                last_resort: Name::from_text(stem, "main class"),
            };
        }
        Name::from_text(stem, "main class").into()
    }
}

/// `x-1.2.3-SNAPSHOT.jar` is version `1.2.3-SNAPSHOT` of `x`.
fn of_jar(launch: &Launch<'_>, jar: &str) -> Hint {
    let file = folder::file(jar);
    let stem = file
        .strip_suffix(".jar")
        .or_else(|| file.strip_suffix(".war"))
        .unwrap_or(file);
    let (name, version) = split_version(stem);
    if matches!(stem, "quarkus-run" | "app-runner") {
        return launch
            .folder_of(jar)
            .as_deref()
            .and_then(super::in_folder)
            .into();
    }
    let mut hint = Hint::of_file(name, launch.folder_of(jar).as_deref(), "jar");
    for found in [&mut hint.name, &mut hint.last_resort]
        .into_iter()
        .flatten()
    {
        found.version = version.and_then(folder::clean);
    }
    hint
}

/// Splits at the first `-` before a digit; endings like `-all` and `-exec` are dropped.
fn split_version(stem: &str) -> (&str, Option<&str>) {
    const KINDS: &[&str] = &[
        "-all",
        "-exec",
        "-fat",
        "-uber",
        "-runner",
        "-shaded",
        "-boot",
        "-jar-with-dependencies",
        "-standalone",
    ];
    let plain = KINDS
        .iter()
        .find_map(|kind| stem.strip_suffix(kind))
        .unwrap_or(stem);
    let split = plain.match_indices('-').find(|(at, _)| {
        plain[at + 1..]
            .trim_start_matches('v')
            .starts_with(|c: char| c.is_ascii_digit())
    });
    match split {
        Some((at, _)) if at > 0 => (&plain[..at], Some(&plain[at + 1..])),
        _ => (plain, None),
    }
}

/// `module/main.Class` or a module alone.
fn of_module(launch: &Launch<'_>, module: &str) -> Hint {
    match module.split_once('/') {
        Some((_, class)) => of_class(launch, class),
        None => of_package(launch, module, "module"),
    }
}

/// The class's simple name, or its package where that only says that it starts something.
fn of_class(launch: &Launch<'_>, class: &str) -> Hint {
    let (package, simple) = class.rsplit_once('.').unwrap_or(("", class));
    // Kotlin's and Scala's files with a main function.
    let simple = simple.trim_end_matches('$');
    let short = simple.strip_suffix("Kt").unwrap_or(simple);
    if LAUNCHERS.contains(&short) {
        return of_package(launch, package, simple);
    }
    Name::from_text(short, "main class").into()
}

fn of_package(launch: &Launch<'_>, package: &str, last: &str) -> Hint {
    let launcher = package.starts_with("org.springframework.boot.loader");
    let part = package
        .rsplit('.')
        .find(|part| folder::is_telling_package(part) && !DOMAINS.contains(part))
        .filter(|_| !launcher);
    let folder = launch.cwd.and_then(super::in_folder);
    Hint {
        name: part
            .and_then(|part| Name::from_text(part, "package"))
            .or(folder),
        last_resort: Name::from_text(last, "main class"),
    }
}
