use super::*;
use crate::metadata::Runtime;
use clap::CommandFactory;
use std::sync::Mutex;

/// Notes what it is asked for.
#[derive(Default)]
struct Fake {
    asked: Mutex<String>,
    hopeless: bool,
}

impl Fake {
    fn note(&self, what: String) {
        *self.asked.lock().unwrap() = what;
    }
}

fn differences(config: &Config) -> String {
    let lines = |config: &Config| {
        let text = toml::to_string(config).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let defaults = lines(&Config::default());
    let mut different = lines(config);
    different.retain(|line| !defaults.contains(line));
    different.join("; ")
}

impl Host for Fake {
    fn run(&self, job: RunJob) -> Result<(), Exit> {
        let (command, period) = (job.command, job.period);
        self.note(format!(
            "run {command:?} {period:?} [{}]",
            differences(&job.config)
        ));
        Ok(())
    }

    fn check(&self, _: &Config) -> Result<Check, Exit> {
        let hook = |name: &str, state, remedy: Option<&str>| Hook {
            subject: "bytes".to_owned(),
            name: name.to_owned(),
            state,
            remedy: remedy.map(str::to_owned),
        };
        Ok(Check {
            facts: vec![Fact {
                name: "kernel".to_owned(),
                value: "6.12.0".to_owned(),
            }],
            hooks: vec![
                hook("sock_length", State::Active, None),
                hook("syscalls", State::Off("not needed".to_owned()), None),
                hook(
                    "kprobe",
                    State::Refused("EPERM".to_owned()),
                    Some("grant CAP_BPF"),
                ),
            ],
            hopeless: self.hopeless.then(|| "no hook attaches".to_owned()),
        })
    }

    fn targets(&self, _: &Config) -> Result<Vec<Target>, Exit> {
        Ok(vec![Target {
            pid: 42,
            service: "shop".to_owned(),
            runtime: Runtime::Node,
            selected: true,
            reason: "no rules".to_owned(),
        }])
    }

    fn explain(&self, _: &Config, pid: u32) -> Result<Vec<Fact>, Exit> {
        Err(Exit::failed(
            format!("explaining process {pid}"),
            "there is no such process",
            "`weft targets` lists those that are seen",
        ))
    }

    fn record(&self, job: RecordJob) -> Result<(), Exit> {
        self.note(format!(
            "record {} {:?} {:?}",
            job.file.display(),
            job.command,
            job.period
        ));
        Ok(())
    }

    fn replay(&self, job: ReplayJob) -> Result<(), Exit> {
        self.note(format!("replay {}", job.file.display()));
        Ok(())
    }
}

/// What the arguments lead to: a call, an answer, or a message.
fn outcome(arguments: &str, host: &Fake) -> String {
    let arguments = std::iter::once("weft").chain(arguments.split_whitespace());
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return format!("exit {}\n{error}", error.exit_code()),
    };
    let mut out = Vec::new();
    let end = main(&cli, host, &mut out);
    let mut text = String::from_utf8(out).unwrap();
    text.push_str(&host.asked.lock().unwrap());
    if let Err(exit) = end {
        text.push_str(&format!("exit {}\n{exit}", exit.code as u8));
    }
    text
}

#[test]
fn arguments_lead_to_calls() {
    let table = [
        ("", "run [] None []"),
        ("run", "run [] None []"),
        ("-- node app.js", "run [\"node\", \"app.js\"] None []"),
        (
            "run --for 90s -- sleep 1",
            "run [\"sleep\", \"1\"] Some(90s) []",
        ),
        ("record log --for 1s", "record log [] Some(1s)"),
        ("replay log", "replay log"),
        ("run --log-level debug", "run [] None [level = \"debug\"]"),
        (
            "--output none",
            "run [] None [enabled = \"off\"; path = \"\"]",
        ),
        (
            "run --output file:x --color never",
            "run [] None [enabled = \"off\"; color = \"never\"; path = \"x\"]",
        ),
        (
            "--endpoint http://h:4317 --protocol http/protobuf",
            "run [] None [endpoint = \"http://h:4317\"; traces_endpoint = \"\"; \
             metrics_endpoint = \"\"; protocol = \"http/protobuf\"]",
        ),
    ];
    for (arguments, expected) in table {
        assert_eq!(
            outcome(arguments, &Fake::default()),
            expected,
            "{arguments}"
        );
    }
}

#[test]
fn answers() {
    let mut all = String::new();
    let arguments = [
        "run --select exe=*/node,port=80 --select runtime=java",
        "check",
        "targets",
        "explain 7",
        "explain x",
        "run --select shoe=44",
        "run --select port=many",
        "run --output paper",
        "run --for 5",
        "run --endpoit x",
        "--log-level a=b=c run",
        "--for 1s check",
        "config --check /nowhere/weft.toml",
        "rnu",
    ];
    for arguments in arguments {
        let answer = outcome(arguments, &Fake::default());
        all.push_str(&format!("$ weft {arguments}\n{answer}\n\n"));
    }
    let host = Fake {
        hopeless: true,
        ..Fake::default()
    };
    all.push_str(&format!("$ weft check\n{}\n", outcome("check", &host)));
    insta::assert_snapshot!(all);
}

#[test]
fn help() {
    let mut all = String::new();
    let mut command = Cli::command().term_width(90);
    command.build();
    all.push_str(&command.render_long_help().to_string());
    for verb in command
        .get_subcommands_mut()
        .filter(|verb| verb.get_name() != "help")
    {
        let help = verb.render_help();
        all.push_str(&format!("\n=== {}\n{help}", verb.get_name()));
    }
    insta::assert_snapshot!(all);
}
