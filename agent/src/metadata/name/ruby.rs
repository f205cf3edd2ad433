//! Ruby.

use super::options::Table;
use super::{Hint, Launch, Name, folder};

/// Options of `ruby`.
const RUBY: Table = Table {
    valued: &[
        "-r",
        "-I",
        "-C",
        "-E",
        "-F",
        "-x",
        "-T",
        "--encoding",
        "--external-encoding",
        "--internal-encoding",
        "--require",
    ],
    last: &["-e"],
    clustered: true,
};

/// Programs that run the application of the folder they are started in.
const SERVERS: &[&str] = &[
    "puma",
    "pumactl",
    "rails",
    "unicorn",
    "unicorn_rails",
    "rackup",
    "thin",
    "passenger",
    "sidekiq",
    "sidekiqmon",
    "bundle",
    "bundler",
    "rake",
    "spring",
    "falcon",
    "hanami",
    "iodine",
    "webrick",
    "resque",
    "resque-pool",
    "shoryuken",
    "karafka",
    "racecar",
    "good_job",
    "foreman",
    "jekyll",
];

pub(super) fn hint(launch: &Launch<'_>) -> Hint {
    if let Some(title) = launch.title() {
        return of_title(launch, title);
    }
    let parsed = RUBY.parse(launch.arguments());
    match parsed.operands.first() {
        Some(script) if parsed.last.is_none() => of_script(launch, script),
        _ => launch.cwd.and_then(super::in_folder).into(),
    }
}

fn of_script(launch: &Launch<'_>, script: &str) -> Hint {
    let stem = folder::stem(script);
    if !SERVERS.contains(&stem) {
        return Hint::of_file(stem, launch.folder_of(script).as_deref(), "script");
    }
    // The application's own `bin/rails` says where it is, an installed one does not.
    let own = script
        .strip_suffix(stem)
        .filter(|folder| folder.ends_with("bin/"));
    let beside = own.and_then(|_| {
        let root = launch.folder_of(script)?.parent()?.to_path_buf();
        launch.files.exists(&root.join("config.ru")).then_some(root)
    });
    let folder = beside.as_deref().or(launch.cwd);
    Hint {
        name: folder.and_then(super::in_folder),
        last_resort: Name::from_text(stem, "script"),
    }
}

/// `puma 6.4.0 (tcp://0.0.0.0:3000) [shop]`, `puma: cluster worker 0: 7 [shop]`,
/// `sidekiq 7.1 shop [0 of 5 busy]`, `unicorn master -c unicorn.rb`.
fn of_title(launch: &Launch<'_>, title: &str) -> Hint {
    let last = title
        .strip_suffix(']')
        .and_then(|text| text.rsplit_once('['))
        .map(|(_, tag)| tag);
    let tag = if title.starts_with("puma") {
        last
    } else if title.starts_with("sidekiq ") {
        title
            .split_whitespace()
            .nth(2)
            .filter(|tag| !tag.starts_with('['))
    } else {
        None
    };
    match tag.filter(|tag| folder::is_telling(tag)) {
        Some(tag) => Name::from_text(tag, "process title").into(),
        None => launch.cwd.and_then(super::in_folder).into(),
    }
}
