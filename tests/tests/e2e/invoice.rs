//! The example `examples/invoice`: money, dates, plurals, lists and sorting in several languages. The texts are those
//! that Node.js 20 with full ICU gives of the same file.

use anyhow::Result;
use serde_json::{Value, json};

use crate::support::{Request, Setup, programs};

/// German: groups of digits, a comma, euros behind the number, Ö sorted as an O.
const GERMAN: &str = "\
Rechnung 2026-17
Mittwoch, 2. Dezember 2026 um 23:30
Zahlbar: 16. Dezember 2026 (in 14 Tagen)

Buch: 3 × 24,00\u{a0}€ = 72,00\u{a0}€
Ofen: 1 × 899,00\u{a0}€ = 899,00\u{a0}€
Öl: 2 × 15,50\u{a0}€ = 31,00\u{a0}€
Zahnrad: 1.200 × 9,95\u{a0}€ = 11.940,00\u{a0}€

4 Posten
Netto: 12.942,00\u{a0}€
MwSt. zu 7\u{a0}% und 19\u{a0}%: 2.450,34\u{a0}€
Summe: 15.392,34\u{a0}€
";
/// Polish: Ł sorted behind L, and the plural of few.
const POLISH: &str = "\
Faktura 2026-17
środa, 2 grudnia 2026 23:30
Termin: 16 grudnia 2026 (za 14 dni)

Lina: 12 × 7,25\u{a0}zł = 87,00\u{a0}zł
Łopata: 2 × 49,90\u{a0}zł = 99,80\u{a0}zł
Zeszyt: 40 × 3,50\u{a0}zł = 140,00\u{a0}zł

3 pozycje
Netto: 326,80\u{a0}zł
VAT 5% i 23%: 49,96\u{a0}zł
Razem: 376,76\u{a0}zł
";
/// Japanese: a list of rates without a word, yen without parts, and the next day in Tokyo.
const JAPANESE: &str = "\
請求書 2026-17
2026年12月3日木曜日 7:30
お支払期限: 2026年12月17日 (14 日後)

お茶: 12 × ￥150 = ￥1,800
本: 3 × ￥1,980 = ￥5,940

2 点
小計: ￥7,740
消費税 8%、10%: ￥738
合計: ￥8,478
";

fn orders() -> [(Value, &'static str); 3] {
    [
        (
            json!({ "number": "2026-17", "issued": "2026-12-02T22:30:00Z", "locale": "de-DE", "currency": "EUR",
              "timeZone": "Europe/Berlin", "lines": [
                { "name": "Zahnrad", "quantity": 1200, "price": 9.95, "vat": 0.19 },
                { "name": "Öl", "quantity": 2, "price": 15.5, "vat": 0.19 },
                { "name": "Ofen", "quantity": 1, "price": 899, "vat": 0.19 },
                { "name": "Buch", "quantity": 3, "price": 24, "vat": 0.07 },
            ] }),
            GERMAN,
        ),
        (
            json!({ "number": "2026-17", "issued": "2026-12-02T22:30:00Z", "locale": "pl", "currency": "PLN",
              "timeZone": "Europe/Warsaw", "lines": [
                { "name": "Łopata", "quantity": 2, "price": 49.9, "vat": 0.23 },
                { "name": "Zeszyt", "quantity": 40, "price": 3.5, "vat": 0.05 },
                { "name": "Lina", "quantity": 12, "price": 7.25, "vat": 0.23 },
            ] }),
            POLISH,
        ),
        (
            json!({ "number": "2026-17", "issued": "2026-12-02T22:30:00Z", "locale": "ja-JP", "currency": "JPY",
              "timeZone": "Asia/Tokyo", "lines": [
                { "name": "本", "quantity": 3, "price": 1980, "vat": 0.1 },
                { "name": "お茶", "quantity": 12, "price": 150, "vat": 0.08 },
            ] }),
            JAPANESE,
        ),
    ]
}

#[test]
fn invoices_are_in_the_language_of_whoever_gets_them() -> Result<()> {
    let node = Setup::new()?.start()?;
    let source = programs::root().join("examples/invoice/invoice.js");
    let source = source.to_string_lossy();
    // No runtime is named: languages need no Node.js.
    node.cli(&["create", "-f", "invoice", "--src", &source])?
        .assert_code(0);
    for (order, expected) in orders() {
        let reply = node.ask(&Request::post("/fn/invoice", order.to_string()))?;
        assert_eq!((reply.status, reply.text().as_str()), (200, expected));
    }
    for (member, value) in [
        ("locale", "not a locale"),
        ("currency", "€"),
        ("timeZone", "Europe/Atlantis"),
    ] {
        let [(mut order, _), ..] = orders();
        order[member] = value.into();
        let reply = node.ask(&Request::post("/fn/invoice", order.to_string()))?;
        assert_eq!(reply.status, 400, "{member}: {}", reply.text());
    }
    Ok(())
}
