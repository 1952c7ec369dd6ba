//! Property names that may stand in `\p{…}`.

use std::sync::LazyLock;

use regex::Regex;

/// `unicode.Categories`, in lower case.
const CATEGORIES: &str = "c cc cf cn co cs l lc ll lm lo lt lu m mc me mn n nd nl no p pc pd pe pf pi po ps s sc sk sm \
    so z zl zp zs";

/// `unicode.CategoryAliases`, in lower case without separators, with the category each one means.
const ALIASES: &[(&str, &str)] = &[
    ("casedletter", "lc"),
    ("closepunctuation", "pe"),
    ("cntrl", "cc"),
    ("combiningmark", "m"),
    ("connectorpunctuation", "pc"),
    ("control", "cc"),
    ("currencysymbol", "sc"),
    ("dashpunctuation", "pd"),
    ("decimalnumber", "nd"),
    ("digit", "nd"),
    ("enclosingmark", "me"),
    ("finalpunctuation", "pf"),
    ("format", "cf"),
    ("initialpunctuation", "pi"),
    ("letter", "l"),
    ("letternumber", "nl"),
    ("lineseparator", "zl"),
    ("lowercaseletter", "ll"),
    ("mark", "m"),
    ("mathsymbol", "sm"),
    ("modifierletter", "lm"),
    ("modifiersymbol", "sk"),
    ("nonspacingmark", "mn"),
    ("number", "n"),
    ("openpunctuation", "ps"),
    ("other", "c"),
    ("otherletter", "lo"),
    ("othernumber", "no"),
    ("otherpunctuation", "po"),
    ("othersymbol", "so"),
    ("paragraphseparator", "zp"),
    ("privateuse", "co"),
    ("punct", "p"),
    ("punctuation", "p"),
    ("separator", "z"),
    ("spaceseparator", "zs"),
    ("spacingmark", "mc"),
    ("surrogate", "cs"),
    ("symbol", "s"),
    ("titlecaseletter", "lt"),
    ("unassigned", "cn"),
    ("uppercaseletter", "lu"),
];

/// `unicode.Scripts`, in lower case without separators.
const SCRIPTS: &str = "adlam ahom anatolianhieroglyphs arabic armenian avestan balinese bamum bassavah batak bengali \
    bhaiksuki bopomofo brahmi braille buginese buhid canadianaboriginal carian caucasianalbanian chakma \
    cham cherokee chorasmian common coptic cuneiform cypriot cyprominoan cyrillic deseret devanagari \
    divesakuru dogra duployan egyptianhieroglyphs elbasan elymaic ethiopic georgian glagolitic gothic \
    grantha greek gujarati gunjalagondi gurmukhi han hangul hanifirohingya hanunoo hatran hebrew \
    hiragana imperialaramaic inherited inscriptionalpahlavi inscriptionalparthian javanese kaithi \
    kannada katakana kawi kayahli kharoshthi khitansmallscript khmer khojki khudawadi lao latin lepcha \
    limbu lineara linearb lisu lycian lydian mahajani makasar malayalam mandaic manichaean marchen \
    masaramgondi medefaidrin meeteimayek mendekikakui meroiticcursive meroitichieroglyphs miao modi \
    mongolian mro multani myanmar nabataean nagmundari nandinagari newa newtailue nko nushu \
    nyiakengpuachuehmong ogham olchiki oldhungarian olditalic oldnortharabian oldpermic oldpersian \
    oldsogdian oldsoutharabian oldturkic olduyghur oriya osage osmanya pahawhhmong palmyrene paucinhau \
    phagspa phoenician psalterpahlavi rejang runic samaritan saurashtra sharada shavian siddham \
    signwriting sinhala sogdian sorasompeng soyombo sundanese sylotinagri syriac tagalog tagbanwa taile \
    taitham taiviet takri tamil tangsa tangut telugu thaana thai tibetan tifinagh tirhuta toto ugaritic \
    vai vithkuqi wancho warangciti yezidi yi zanabazarsquare";

#[expect(clippy::expect_used, reason = "a constant pattern")]
static LETTER_OR_DIGIT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\p{L}\p{Nd}]$").expect("a constant pattern"));

/// A class for the property as an item inside of brackets, complete with its sign; empty if nothing can be in it.
///
/// Takes the name as it stands in the pattern, without a leading `^`.
pub(super) fn item(name: &str, negated: bool) -> Option<String> {
    let name: String = name
        .chars()
        .filter(|letter| !"_- ".contains(*letter))
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    let listed = |list: &str| list.split(' ').any(|entry| entry == name);
    let name = ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name.as_str(), |(_, category)| category);
    let letter = if negated { 'P' } else { 'p' };
    Some(match name {
        // no text holds a surrogate, and regex does not know the category
        "cs" => if negated { r"\x{0}-\x{10FFFF}" } else { "" }.to_owned(),
        "any" => if negated { "" } else { r"\x{0}-\x{10FFFF}" }.to_owned(),
        "ascii" => if negated { "[:^ascii:]" } else { "[:ascii:]" }.to_owned(),
        "assigned" => format!(r"\{}{{gc=cn}}", if negated { 'p' } else { 'P' }),
        _ if CATEGORIES.split(' ').any(|category| category == name) => format!(r"\{letter}{{gc={name}}}"),
        _ if !name.is_empty() && listed(SCRIPTS) => format!(r"\{letter}{{sc={name}}}"),
        _ => return None,
    })
}

/// `unicode.IsLetter` or `unicode.IsDigit`.
pub(super) fn is_letter_or_digit(letter: char) -> bool {
    LETTER_OR_DIGIT.is_match(letter.encode_utf8(&mut [0; 4]))
}

/// Every name that [`item`] knows.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let aliases = ALIASES.iter().map(|(alias, _)| *alias);
    CATEGORIES
        .split(' ')
        .chain(SCRIPTS.split(' '))
        .chain(aliases)
        .chain(["any", "ascii", "assigned"])
}
