//! Names of time zones: UTS #35, part 4, "Time Zone Names", in the order of ICU's TimeZoneFormat and
//! TimeZoneGenericNames.

use alloc::format;
use alloc::string::{String, ToString};

use super::Digits;
use super::pack::Piece;
use crate::zones::{Facts, Offset, Zone};

/// As long before or after a summer a zone counts as one that has summers.
const NEAR_SUMMER: i64 = 184 * 86_400;

/// The meaning of a name. The number is the place of the long one in the data; the short one follows after three.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meaning {
    Generic = 0,
    Standard = 1,
    Summer = 2,
}

/// The names of a zone in a locale.
pub struct ZoneNames {
    zones: Piece,
    names: Piece,
    name: String,
    /// The names that CLDR has for the zone.
    facts: Option<Facts>,
    /// The zone's own names: the city, the long ones, the short ones.
    own: String,
    /// The region of the locale.
    region: String,
    digits: Digits,
}

impl ZoneNames {
    pub fn new(locale: &str, name: &str, region: &str, digits: Digits) -> Option<Self> {
        let zones = Piece::named("zones")?;
        let name = if name == "UTC" { "Etc/UTC" } else { name };
        let names = Piece::named(&format!("{locale}+zones"))?;
        let facts = Facts::of(&zones, name);
        let own = names
            .get(&format!("Z{name}"))
            .unwrap_or_default()
            .to_string();
        Some(Self {
            zones,
            names,
            name: name.to_string(),
            facts,
            own,
            region: region.to_string(),
            digits,
        })
    }

    /// The name that a field of a pattern stands for.
    pub fn text(&self, zone: &Zone, letter: u8, length: usize, at: i64) -> String {
        let offset = zone.offset(at);
        let is_long = length == 4;
        let name = match letter {
            b'z' => {
                let meaning = if offset.is_summer {
                    Meaning::Summer
                } else {
                    Meaning::Standard
                };
                self.display(meaning, is_long, at).map(String::from)
            }
            b'v' => self
                .without_location(zone, is_long, at)
                .or_else(|| self.location()),
            _ => None,
        };
        name.unwrap_or_else(|| self.gmt(offset.seconds, !is_long))
    }

    fn own(&self, meaning: Meaning, is_long: bool) -> Option<&str> {
        let at = 1 + meaning as usize + if is_long { 0 } else { 3 };
        self.own.split('|').nth(at).filter(|name| !name.is_empty())
    }

    fn metazone(&self, at: i64) -> Option<&str> {
        self.facts.as_ref()?.metazone(at)
    }

    fn of_metazone(&self, metazone: &str, meaning: Meaning, is_long: bool) -> Option<&str> {
        let at = meaning as usize + if is_long { 0 } else { 3 };
        self.names
            .item(&format!("M{metazone}"), at)
            .filter(|name| !name.is_empty())
    }

    /// The name of the zone itself, or of the metazone that it uses at a time.
    fn display(&self, meaning: Meaning, is_long: bool, at: i64) -> Option<&str> {
        self.own(meaning, is_long)
            .or_else(|| self.of_metazone(self.metazone(at)?, meaning, is_long))
    }

    /// The same name in summer and winter, `Eastern Time`.
    fn without_location(&self, zone: &Zone, is_long: bool, at: i64) -> Option<String> {
        if let Some(name) = self.own(Meaning::Generic, is_long) {
            return Some(name.to_string());
        }
        let metazone = self.metazone(at)?;
        let generic = self.of_metazone(metazone, Meaning::Generic, is_long);
        let offset = zone.offset(at);
        if !offset.is_summer && !has_summer_near(zone, at) {
            let standard = self.display(Meaning::Standard, is_long, at);
            // A name that stands for both is not one of the standard time.
            if let Some(standard) = standard.filter(|name| Some(*name) != generic) {
                return Some(standard.to_string());
            }
        }
        let generic = generic?;
        let golden = self.golden(metazone, &self.region)?;
        if golden != self.name {
            let its = Zone::named(golden)?.offset_of_local(at + i64::from(offset.seconds));
            if its != offset {
                return Some(self.partial(metazone, generic));
            }
        }
        Some(generic.to_string())
    }

    /// The zone that a metazone is that of, in a region.
    fn golden(&self, metazone: &str, region: &str) -> Option<&str> {
        let list = self.zones.get(&format!("M{metazone}"))?;
        let of = |territory: &str| {
            list.split(' ').find_map(|pair| {
                pair.split_once(':')
                    .filter(|(of, _)| *of == territory)
                    .map(|(_, zone)| zone)
            })
        };
        of(region).or_else(|| of("001"))
    }

    /// A metazone's name with the place.
    fn partial(&self, metazone: &str, name: &str) -> String {
        let country = self
            .facts
            .as_ref()
            .map_or("", |facts| facts.country.as_str());
        let is_golden =
            !country.is_empty() && self.golden(metazone, country) == Some(self.name.as_str());
        let of_country = if is_golden {
            self.names.get(&format!("C{country}")).map(String::from)
        } else {
            None
        };
        let place = of_country.unwrap_or_else(|| self.city());
        self.names
            .get("fallback")
            .unwrap_or("{1} ({0})")
            .replace("{1}", name)
            .replace("{0}", &place)
    }

    fn city(&self) -> String {
        let known = self.own.split('|').next().filter(|city| !city.is_empty());
        known.map_or_else(
            || {
                self.name
                    .rsplit('/')
                    .next()
                    .unwrap_or_default()
                    .replace('_', " ")
            },
            String::from,
        )
    }

    /// A name of the place, `Germany Time`.
    fn location(&self) -> Option<String> {
        let facts = self.facts.as_ref()?;
        if facts.country.is_empty() {
            return None;
        }
        let country = if facts.is_primary {
            self.names.get(&format!("C{}", facts.country))
        } else {
            None
        };
        let place = country.map_or_else(|| self.city(), String::from);
        Some(self.names.get("region")?.replace("{0}", &place))
    }

    /// An offset in the form of the locale: `GMT+5:30`, or long, `GMT+05:30`.
    pub fn gmt(&self, seconds: i32, is_short: bool) -> String {
        let form = self.names.get("hours").unwrap_or("+HH:mm;-HH:mm");
        let (positive, negative) = form.split_once(';').unwrap_or((form, form));
        let form = if seconds < 0 { negative } else { positive };
        let total = seconds.unsigned_abs();
        let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
        let (before, rest) = form.split_once('H').unwrap_or((form, ""));
        let (separator, after) = rest
            .trim_start_matches('H')
            .split_once("mm")
            .unwrap_or((":", ""));
        let mut out = String::from(before);
        self.digits
            .push(&mut out, i64::from(hours), if is_short { 1 } else { 2 });
        if minutes != 0 || seconds != 0 || !is_short {
            out.push_str(separator);
            self.digits.push(&mut out, i64::from(minutes), 2);
        }
        if seconds != 0 {
            out.push_str(separator);
            self.digits.push(&mut out, i64::from(seconds), 2);
        }
        if minutes != 0 || seconds != 0 || !is_short {
            out.push_str(after);
        }
        self.names
            .get("gmt")
            .unwrap_or("GMT{0}")
            .replace("{0}", &out)
    }
}

fn has_summer_near(zone: &Zone, at: i64) -> bool {
    let (before, after) = zone.changes_around(at);
    let is_summer = |offset: Offset| offset.is_summer;
    before.is_some_and(|change| at - change.at < NEAR_SUMMER && is_summer(change.from))
        || after.is_some_and(|change| change.at - at < NEAR_SUMMER && is_summer(change.to))
}
