//! How a value from a file is shown in a message: quoted, escaped, not longer than a line.

/// Values longer than this are cut: a damaged table can hold megabytes in one cell.
const SHOWN_CHARS: usize = 80;

/// The text in quotes, with control characters, quotes and direction marks escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).flat_map(escape).collect();
    shown.insert(0, '"');
    shown.push('"');
    let left = text.chars().count().saturating_sub(SHOWN_CHARS);
    if left > 0 {
        shown.push_str(&format!(" … and {left} more characters"));
    }
    shown
}

/// The text without quotes around it, escaped: for file paths.
pub(crate) fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|character| match character {
            '"' | '\\' => Box::new(std::iter::once(character)),
            _ => escape(character),
        })
        .collect()
}

/// Terminals act on control characters; direction marks make text read other than it is.
fn escape(character: char) -> Box<dyn Iterator<Item = char>> {
    let is_direction_mark = matches!(
        character,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    );
    if is_direction_mark {
        Box::new(character.escape_unicode())
    } else if character == '\'' {
        Box::new(std::iter::once(character))
    } else {
        Box::new(character.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        assert_eq!(quoted("a\u{1b}[2Jb\n\"c\""), r#""a\u{1b}[2Jb\n\"c\"""#);
        assert_eq!(quoted("x\u{202e}gnp"), r#""x\u{202e}gnp""#);
        assert_eq!(quoted("l'été"), "\"l'été\"");
    }

    #[test]
    fn a_long_value_is_cut_and_says_so() {
        let shown = quoted(&"9".repeat(1_000_000));
        assert!(shown.len() < 120, "{shown}");
        assert!(shown.ends_with("and 999920 more characters"), "{shown}");
    }
}
