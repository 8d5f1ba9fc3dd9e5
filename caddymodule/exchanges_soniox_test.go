package caddymodule

import (
	"net/http"
	"strings"

	"github.com/scribegate/scribegate/verifier"
)

// sonioxExchanges are the rows of Soniox.
func sonioxExchanges() []exchange {
	good := transcription("table")
	unauthorized := func(name string, reason verifier.Reason, changes ...change) exchange {
		return exchange{name, good, changes, http.StatusUnauthorized, saysAuth, reason}
	}
	invalid := func(name, body, what string) exchange {
		return exchange{name, body, nil, http.StatusBadRequest, `{"error":"invalid payload: ` + what + `"}`, verifier.Payload}
	}
	rows := []exchange{
		{"genuine", transcription("t-1"), nil, 200, "", ""},
		{"genuine, error", `{"id":"t-1","status":"error"}`, nil, 200, "", ""},
		{"genuine, other members", `{"id":"t-2","status":"completed","text":{"a":1,"a":2}}`, nil, 200, "", ""},
		{"genuine, chunked", transcription("t-3"), []change{chunked}, 200, "", ""},
		{"genuine, id of 128 letters", transcription(strings.Repeat("a", 128)), nil, 200, "", ""},
		{"genuine, body of max_body", padded(transcription("t-4"), tableMaxBody), nil, 200, "", ""},

		unauthorized("no header", verifier.AuthMissing, without(sonioxHeader)),
		unauthorized("empty header", verifier.AuthMissing, set(sonioxHeader, "")),
		unauthorized("another value", verifier.AuthMismatch, set(sonioxHeader, "another")),
		unauthorized("a prefix of the value", verifier.AuthMismatch, set(sonioxHeader, testSoniox[:len(testSoniox)-1])),
		unauthorized("the value and more", verifier.AuthMismatch, set(sonioxHeader, testSoniox+"x")),
		unauthorized("the value in upper case", verifier.AuthMismatch, set(sonioxHeader, strings.ToUpper(testSoniox))),
		unauthorized("the value behind Bearer", verifier.AuthMismatch, set(sonioxHeader, "Bearer "+testSoniox)),
		unauthorized("the placeholder", verifier.AuthMismatch, set(sonioxHeader, "{env.SONIOX_SECRET}")),
		unauthorized("the value twice", verifier.HeaderRepeated, twice(sonioxHeader)),
		unauthorized("the value and an empty one", verifier.HeaderRepeated, again(sonioxHeader, "")),
		unauthorized("another header", verifier.AuthMissing, without(sonioxHeader), set("Authorization", testSoniox)),

		{"coding gzip", good, []change{coding("gzip")}, 415, saysEncoding, verifier.Encoding},
		{"a byte too large", padded(good, tableMaxBody+1), nil, 413, saysTooLarge, verifier.TooLarge},
		{"chunked, a byte too large", padded(good, tableMaxBody+1), []change{chunked}, 413, saysTooLarge, verifier.TooLarge},

		invalid("empty body", "", "not a JSON object"),
		invalid("array", `[]`, "not a JSON object"),
		invalid("trailing data", good+`x`, "data after the object"),
		invalid("invalid UTF-8", `{"id":"`+"\xc0\x80"+`","status":"completed"}`, "not valid UTF-8"),
		invalid("id repeated", `{"id":"a","id":"b","status":"completed"}`, "a member's name is repeated"),
		invalid("id in another case", `{"ID":"a","status":"completed"}`, "id is missing"),
		invalid("id in another case beside", `{"Id":"a","status":"completed","id":""}`, "id is empty"),
		invalid("id of 129 letters", transcription(strings.Repeat("a", 129)), "id is not 1 to 128 letters, digits, underscores and hyphens"),
		invalid("id with a slash", `{"id":"../x","status":"completed"}`, "id is not 1 to 128 letters, digits, underscores and hyphens"),
		invalid("id a number", `{"id":1,"status":"completed"}`, "id is not a string"),
		invalid("lone surrogate in id", `{"id":"\ud800","status":"completed"}`, "id is not valid Unicode"),
		invalid("no status", `{"id":"a"}`, "status is missing"),
		invalid("another status", `{"id":"a","status":"queued"}`, "status is neither completed nor error"),
	}
	return append(rows, otherMethods(good)...)
}
