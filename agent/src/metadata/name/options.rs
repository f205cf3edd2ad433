//! Command lines of interpreters and servers, read by tables.
//!
//! In: arguments and a [`Table`]. Out: the first operand and what came before it.

/// How a program reads its options.
pub(super) struct Table {
    /// Options whose value is the next argument, unless it is joined with `=`.
    pub(super) valued: &'static [&'static str],
    /// Valued options behind which all else belongs to what they name (`-m module`, `-e code`).
    pub(super) last: &'static [&'static str],
    /// One dash begins a row of one-letter options, the value of the last may be joined: `-um x`.
    pub(super) clustered: bool,
}

/// What stands on a command line up to the first operand.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    /// Valued options in their order.
    pub(super) options: Vec<(&'a str, &'a str)>,
    /// The `last` option that ended the list, with its value.
    pub(super) last: Option<(&'a str, &'a str)>,
    /// The first argument that is no option, and those behind it.
    pub(super) operands: &'a [String],
}

impl Table {
    /// Reads `args`, without the program itself.
    pub(super) fn parse<'a>(&'a self, args: &'a [String]) -> Parsed<'a> {
        let mut parsed = Parsed::default();
        let mut at = 0;
        while let Some(argument) = args.get(at) {
            at += 1;
            if argument == "--" {
                parsed.operands = args.get(at..).unwrap_or_default();
                return parsed;
            }
            if !argument.starts_with('-') || argument == "-" {
                parsed.operands = args.get(at - 1..).unwrap_or_default();
                return parsed;
            }
            let Some((option, joined)) = self.option(argument) else {
                continue;
            };
            let value = joined.or_else(|| {
                at += 1;
                args.get(at - 1).map(String::as_str)
            });
            let Some(value) = value else {
                return parsed;
            };
            if self.last.contains(&option) {
                parsed.last = Some((option, value));
                parsed.operands = args.get(at..).unwrap_or_default();
                return parsed;
            }
            parsed.options.push((option, value));
        }
        parsed
    }

    /// The valued option that `argument` is or ends with, and a value joined to it.
    fn option<'a>(&'a self, argument: &'a str) -> Option<(&'a str, Option<&'a str>)> {
        let known = |name: &str| self.valued.contains(&name) || self.last.contains(&name);
        if let Some((name, value)) = argument.split_once('=')
            && known(name)
        {
            return Some((name, Some(value)));
        }
        if known(argument) {
            return Some((argument, None));
        }
        if !self.clustered || argument.starts_with("--") {
            return None;
        }
        let letters = argument.char_indices().skip(1);
        for (index, letter) in letters {
            let names = self.valued.iter().chain(self.last);
            let short = names.copied().find(|name| {
                name.len() == 1 + letter.len_utf8()
                    && name.starts_with('-')
                    && name.ends_with(letter)
            });
            if let Some(name) = short {
                let rest = argument.get(index + letter.len_utf8()..)?;
                return Some((name, Some(rest).filter(|rest| !rest.is_empty())));
            }
        }
        None
    }
}

/// The value of an option wherever it stands: `--app x`, `--app=x`, `-A x`, `-Ax`.
pub(super) fn value<'a>(args: &'a [String], names: &[&str]) -> Option<&'a str> {
    args.iter().enumerate().find_map(|(index, argument)| {
        names.iter().find_map(|name| {
            let rest = argument.strip_prefix(name)?;
            if rest.is_empty() {
                return args.get(index + 1).map(String::as_str);
            }
            rest.strip_prefix('=')
                .or_else(|| (name.len() == 2).then_some(rest))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table {
        valued: &["-W", "-X", "--require"],
        last: &["-m", "-c"],
        clustered: true,
    };

    #[test]
    fn finds_the_first_operand() {
        for (line, options, last, operands) in [
            ("app.py --port 1", "", "", "app.py --port 1"),
            ("-u -W ignore app.py", "-W:ignore", "", "app.py"),
            ("-uWignore app.py", "-W:ignore", "", "app.py"),
            (
                "-Xdev --require=x app.py",
                "-X:dev --require:x",
                "",
                "app.py",
            ),
            ("-um shop.api -x", "", "-m:shop.api", "-x"),
            ("-c code file", "", "-c:code", "file"),
            ("--unknown -- -odd", "", "", "-odd"),
            ("-", "", "", "-"),
            ("-W", "", "", ""),
            ("", "", "", ""),
        ] {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let parsed = TABLE.parse(&args);
            let shown = |pair: &(&str, &str)| format!("{}:{}", pair.0, pair.1);
            let found: Vec<_> = parsed.options.iter().map(shown).collect();
            assert_eq!(found.join(" "), options, "{line}");
            assert_eq!(
                parsed.last.as_ref().map(shown).unwrap_or_default(),
                last,
                "{line}"
            );
            assert_eq!(parsed.operands.join(" "), operands, "{line}");
        }
    }

    #[test]
    fn finds_an_option_anywhere() {
        for (line, expected) in [
            ("worker -A shop.tasks", Some("shop.tasks")),
            ("-Ashop worker", Some("shop")),
            ("--app=shop worker", Some("shop")),
            ("--app shop", Some("shop")),
            ("--application x", None),
            ("-A", None),
            ("worker", None),
        ] {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(value(&args, &["-A", "--app"]), expected, "{line}");
        }
    }
}
