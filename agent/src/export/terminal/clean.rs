//! Text for a terminal: no control characters, and never wider than its place.

/// Removes what could steer a terminal: control characters, and those that turn the direction
/// of text. Cuts at `most` columns with an ellipsis.
pub(super) fn clean(text: &str, most: usize) -> String {
    let visible = |c: char| if harmful(c) { '·' } else { c };
    // One more than fits, to know whether to cut; hostile texts are long.
    let mut kept: Vec<char> = text.chars().take(most + 1).map(visible).collect();
    if columns_of(&kept) > most {
        while columns_of(&kept) > most.saturating_sub(1) {
            kept.pop();
        }
        if most > 0 {
            kept.push('…');
        }
    }
    kept.into_iter().collect()
}

/// Columns that a clean text takes.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// `text`, filled with blanks up to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(columns(text));
    format!("{text}{}", " ".repeat(missing))
}

fn columns_of(text: &[char]) -> usize {
    text.iter().copied().map(width).sum()
}

fn harmful(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFE00..=0xFE0F | 0xFEFF
            | 0xFFF9..=0xFFFB | 0xE0000..=0xE01EF)
}

/// Columns of a character: the ranges of East Asian wide and combining characters, coarsely.
/// Where a terminal disagrees, alignment suffers and nothing else.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036F | 0x1AB0..=0x1AFF | 0x20D0..=0x20FF => 0,
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF => 2,
        0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF => 2,
        0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_tamed() {
        let table = [
            ("/plain", 10, "/plain"),
            ("/plain", 6, "/plain"),
            ("/plain", 5, "/pla…"),
            ("/plain", 0, ""),
            ("\x1b[2J\x1b]0;x\x07", 20, "·[2J·]0;x·"),
            ("a\nb\r\tc", 20, "a·b··c"),
            ("\u{9b}31m", 20, "·31m"),
            ("\u{202e}evil", 20, "·evil"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
        ];
        for (text, most, expected) in table {
            assert_eq!(clean(text, most), expected, "{text:?} in {most}");
            assert!(columns(&clean(text, most)) <= most);
        }
    }

    #[test]
    fn long_text_is_not_walked() {
        let long = "x".repeat(10 << 20);
        assert_eq!(columns(&clean(&long, 30)), 30);
    }
}
