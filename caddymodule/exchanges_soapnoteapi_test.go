package caddymodule

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

func decodedSecret() string {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(testSecret, "whsec_"))
	if err != nil {
		panic(err)
	}
	return string(key)
}

// soapnoteExchanges are the rows of SOAPNoteAPI.
func soapnoteExchanges() []exchange {
	good := note("table")
	unauthorized := func(name string, reason verifier.Reason, changes ...change) exchange {
		return exchange{name, good, changes, http.StatusUnauthorized, saysAuth, reason}
	}
	invalid := func(name, body, what string) exchange {
		return exchange{name, body, nil, http.StatusBadRequest, `{"error":"invalid payload: ` + what + `"}`, verifier.Payload}
	}
	const sig, ts = verifier.SignatureHeader, verifier.TimestampHeader
	rows := []exchange{
		{"genuine", note("t-1"), nil, 200, "", ""},
		{"genuine, 57 s old", note("t-2"), []change{signed(testSecret, -57)}, 200, "", ""},
		{"genuine, 60 s ahead", note("t-3"), []change{signed(testSecret, 60)}, 200, "", ""},
		{"genuine, signature in upper case", note("t-4"), []change{header(sig, strings.ToUpper)}, 200, "", ""},
		{"genuine, coding identity", note("t-5"), []change{coding("identity")}, 200, "", ""},
		{"genuine, coding Identity", note("t-6"), []change{coding("Identity")}, 200, "", ""},
		{"genuine, coding empty", note("t-11"), []change{coding("")}, 200, "", ""},
		{"genuine, coding identity, identity", note("t-12"), []change{coding("identity, identity")}, 200, "", ""},
		{"genuine, codings of empty elements", note("t-13"), []change{coding(" , ,IDENTITY,", "", "identity")}, 200, "", ""},
		{"genuine, chunked", note("t-7"), []change{chunked}, 200, "", ""},
		{"genuine, body of max_body", padded(note("t-8"), tableMaxBody), nil, 200, "", ""},
		{"genuine, chunked body of max_body", padded(note("t-9"), tableMaxBody), []change{chunked}, 200, "", ""},
		{"genuine, note.failed", `{"event":"note.failed","note_id":"f","status":"failed","created_at":"2026-03-19T15:30:00.000Z"}`, nil, 200, "", ""},
		{"genuine, test", `{"event":"test","note_id":"test_1","status":"test","created_at":"2026-03-18T15:30:00.000Z"}`, nil, 200, "", ""},
		{"genuine, unknown event", `{"event":"note.amended","note_id":"u","status":"amended","created_at":"x"}`, nil, 200, "", ""},
		{"genuine, repeated member within data", `{"event":"note.generated","note_id":"r","status":"completed","created_at":"x","data":{"a":1,"a":2}}`, nil, 200, "", ""},
		{"genuine, lone surrogate within data", `{"event":"note.generated","note_id":"s","status":"completed","created_at":"x","data":{"a":"\ud83d"}}`, nil, 200, "", ""},
		{"genuine, nested 10,000 deep", nested(10_000), nil, 200, "", ""},
		{"genuine, no Content-Type", note("t-10"), []change{without("Content-Type")}, 200, "", ""},

		unauthorized("no signature", verifier.SignatureMissing, without(sig)),
		unauthorized("empty signature", verifier.SignatureMissing, set(sig, "")),
		unauthorized("no timestamp", verifier.TimestampMissing, without(ts)),
		unauthorized("empty timestamp", verifier.TimestampMissing, set(ts, "")),
		unauthorized("neither header", verifier.SignatureMissing, without(sig), without(ts)),
		unauthorized("signature of 63 digits", verifier.SignatureMalformed, header(sig, func(s string) string { return s[1:] })),
		unauthorized("signature of 65 digits", verifier.SignatureMalformed, header(sig, func(s string) string { return s + "0" })),
		unauthorized("signature not hexadecimal", verifier.SignatureMalformed, header(sig, func(s string) string { return "g" + s[1:] })),
		unauthorized("signature with sha256=", verifier.SignatureMalformed, header(sig, func(s string) string { return "sha256=" + s })),
		unauthorized("signature with a comma and another", verifier.SignatureMalformed, header(sig, func(s string) string { return s + ", " + s })),
		unauthorized("signature of zeroes", verifier.SignatureMismatch, set(sig, strings.Repeat("0", 64))),
		unauthorized("signature of another body", verifier.SignatureMismatch, set(sig, verifier.Sign(testSecret, "1773934200", []byte("{}")))),
		unauthorized("signature of another timestamp", verifier.SignatureMismatch, func(r *http.Request) {
			signed(testSecret, -3)(r)
			r.Header.Set(ts, strconv.FormatInt(time.Now().Unix(), 10))
		}),
		unauthorized("another secret", verifier.SignatureMismatch, signed("whsec_another", 0)),
		unauthorized("empty secret", verifier.SignatureMismatch, signed("", 0)),
		unauthorized("secret without its prefix", verifier.SignatureMismatch, signed(strings.TrimPrefix(testSecret, "whsec_"), 0)),
		unauthorized("secret decoded from base64", verifier.SignatureMismatch, signed(decodedSecret(), 0)),
		unauthorized("secret with a line end", verifier.SignatureMismatch, signed(testSecret+"\n", 0)),
		unauthorized("the header's placeholder as secret", verifier.SignatureMismatch, signed("{env.SOAPNOTE_SECRET}", 0)),
		unauthorized("61 s old", verifier.TimestampStale, signed(testSecret, -61)),
		unauthorized("65 s ahead", verifier.TimestampFuture, signed(testSecret, 65)),
		unauthorized("timestamp 1", verifier.TimestampStale, stamped(func(string) string { return "1" })),
		unauthorized("timestamp of 11 digits", verifier.TimestampFuture, stamped(func(string) string { return "99999999999" })),
		unauthorized("timestamp of 12 digits", verifier.TimestampMalformed, stamped(func(string) string { return "999999999999" })),
		unauthorized("timestamp with a sign", verifier.TimestampMalformed, stamped(func(now string) string { return "+" + now })),
		unauthorized("timestamp below zero", verifier.TimestampMalformed, stamped(func(now string) string { return "-" + now })),
		unauthorized("timestamp with a leading zero", verifier.TimestampMalformed, stamped(func(now string) string { return "0" + now })),
		unauthorized("timestamp 0", verifier.TimestampMalformed, stamped(func(string) string { return "0" })),
		unauthorized("timestamp with a fraction", verifier.TimestampMalformed, stamped(func(now string) string { return now + ".0" })),
		unauthorized("timestamp with an exponent", verifier.TimestampMalformed, stamped(func(string) string { return "1e9" })),
		unauthorized("timestamp in hexadecimal", verifier.TimestampMalformed, stamped(func(string) string { return "0x69a" })),
		unauthorized("timestamp in Arabic digits", verifier.TimestampMalformed, stamped(func(string) string { return "١٧٧٣٩٣٤٢٠٠" })),
		unauthorized("timestamp in RFC 3339", verifier.TimestampMalformed, stamped(func(string) string { return "2026-03-19T15:30:00Z" })),
		unauthorized("timestamp with a space within", verifier.TimestampMalformed, stamped(func(now string) string { return now[:5] + " " + now[5:] })),
		unauthorized("timestamp and a comma", verifier.TimestampMalformed, stamped(func(now string) string { return now + "," + now })),
		unauthorized("boundary shifted", verifier.TimestampMalformed, shifted),
		unauthorized("signature twice, the same", verifier.HeaderRepeated, twice(sig)),
		unauthorized("signature twice, another", verifier.HeaderRepeated, again(sig, strings.Repeat("0", 64))),
		unauthorized("timestamp twice", verifier.HeaderRepeated, twice(ts)),
		unauthorized("timestamp twice, one empty", verifier.HeaderRepeated, again(ts, "")),

		{"codings identity and gzip, in two headers", good, []change{coding("identity", "gzip")}, 415, saysEncoding, verifier.Encoding},
		{"coding gzip", good, []change{coding("gzip")}, 415, saysEncoding, verifier.Encoding},
		{"coding br", good, []change{coding("br")}, 415, saysEncoding, verifier.Encoding},
		{"coding gzip behind an empty element", good, []change{coding("", ", gzip")}, 415, saysEncoding, verifier.Encoding},
		{"coding identity with a parameter", good, []change{coding("identity;q=1")}, 415, saysEncoding, verifier.Encoding},
		{"coding identity, gzip", good, []change{coding("identity, gzip")}, 415, saysEncoding, verifier.Encoding},
		{"a byte too large", padded(good, tableMaxBody+1), nil, 413, saysTooLarge, verifier.TooLarge},
		{"much too large", padded(good, 4*tableMaxBody), nil, 413, saysTooLarge, verifier.TooLarge},
		{"chunked, a byte too large", padded(good, tableMaxBody+1), []change{chunked}, 413, saysTooLarge, verifier.TooLarge},
		{"chunked, much too large", padded(good, 4*tableMaxBody), []change{chunked}, 413, saysTooLarge, verifier.TooLarge},

		invalid("empty body", "", "not a JSON object"),
		invalid("only space", "  \n", "not a JSON object"),
		invalid("byte order mark", "\xef\xbb\xbf"+good, "not a JSON object"),
		invalid("array", `[`+good+`]`, "not a JSON object"),
		invalid("string", `"note.generated"`, "not a JSON object"),
		invalid("null", `null`, "not a JSON object"),
		invalid("form", `event=test&note_id=1`, "not a JSON object"),
		invalid("invalid UTF-8", strings.Replace(good, "PATIENT", "\xff", 1), "not valid UTF-8"),
		invalid("cut off", good[:len(good)-1], "malformed JSON"),
		invalid("comment", good[:len(good)-1]+"/**/}", "malformed JSON"),
		invalid("comma at the end", good[:len(good)-1]+",}", "malformed JSON"),
		invalid("trailing data", good+"{}", "data after the object"),
		invalid("trailing zero byte", good+"\x00", "data after the object"),
		invalid("nested 10,001 deep", nested(10_001), "nested too deeply"),
		invalid("member repeated", good[:len(good)-1]+`,"event":"test"}`, "a member's name is repeated"),
		invalid("member repeated by an escape", good[:len(good)-1]+`,"\u0065vent":"test"}`, "a member's name is repeated"),
		invalid("unknown member repeated", good[:len(good)-1]+`,"x":1,"x":2}`, "a member's name is repeated"),
		invalid("member in another case", strings.Replace(good, `"event"`, `"Event"`, 1), "event is missing"),
		invalid("lone surrogate in a name", good[:len(good)-1]+`,"\ud83d":1}`, "a member's name is not valid Unicode"),
		invalid("lone surrogate in event", strings.Replace(good, "note.generated", `\udc00`, 1), "event is not valid Unicode"),
		invalid("lone surrogate in note_id", strings.Replace(good, `"table"`, `"\ud83d"`, 1), "note_id is not valid Unicode"),
		invalid("no note_id", strings.Replace(good, "note_id", "id", 1), "note_id is missing"),
		invalid("no status", strings.Replace(good, `"status"`, `"state"`, 1), "status is missing"),
		invalid("no created_at", strings.Replace(good, "created_at", "created", 1), "created_at is missing"),
		invalid("empty status", strings.Replace(good, `"completed"`, `""`, 1), "status is empty"),
		invalid("status a number", strings.Replace(good, `"completed"`, `1`, 1), "status is not a string"),
		invalid("no data", strings.Replace(good, `"data"`, `"dat"`, 1), "data is missing"),
		invalid("data null", `{"event":"note.generated","note_id":"n","status":"completed","created_at":"x","data":null}`, "data is not an object"),
		invalid("data an array", `{"event":"note.generated","note_id":"n","status":"completed","created_at":"x","data":[]}`, "data is not an object"),
	}
	return append(rows, otherMethods(good)...)
}
