//! Kubernetes' quantities, as far as requests and limits need them.

/// Powers of 1024, then of 1000.
const BINARY: [&str; 6] = ["", "Ki", "Mi", "Gi", "Ti", "Pi"];
const DECIMAL: [&str; 6] = ["", "k", "M", "G", "T", "P"];

/// In thousandths; `None` if it is none.
pub(crate) fn thousandths(text: &str) -> Option<i128> {
    let split = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, suffix) = text.split_at(split.unwrap_or(text.len()));
    let scale = match suffix {
        "m" => 1,
        suffix => {
            let at = |suffixes: [&str; 6]| suffixes.iter().position(|known| *known == suffix);
            let power =
                |base: i128, exponent: usize| base.checked_pow(u32::try_from(exponent).ok()?);
            let factor = match (at(DECIMAL), at(BINARY)) {
                (Some(exponent), _) => power(1000, exponent)?,
                (None, Some(exponent)) => power(1024, exponent)?,
                (None, None) => return None,
            };
            1000 * factor
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let places = u32::try_from(fraction.len()).ok()?;
    Some(digits * scale / 10i128.pow(places))
}

/// As an API server writes it: the largest suffix of the family without a fraction.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let amount = thousandths(text)?;
    if amount % 1000 != 0 {
        return Some(format!("{amount}m"));
    }
    let mut whole = amount / 1000;
    let (base, suffixes) = if text.ends_with('i') {
        (1024, BINARY)
    } else {
        (1000, DECIMAL)
    };
    let mut exponent = 0;
    while whole != 0 && whole % base == 0 && exponent + 1 < suffixes.len() {
        whole /= base;
        exponent += 1;
    }
    Some(format!("{whole}{}", suffixes[exponent]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_as_an_api_server_writes_them() {
        let pairs = [
            ("1024Mi", "1Gi"),
            ("1536Mi", "1536Mi"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("2000", "2k"),
            ("1.5Gi", "1536Mi"),
            ("0", "0"),
        ];
        for (said, written) in pairs {
            assert_eq!(canonical(said).as_deref(), Some(written), "{said}");
        }
    }
}
