package verifier_test

import (
	"fmt"
	"strings"
	"testing"
)

// with is a valid payload with one more member.
func with(member string) string {
	return `{"event":"note.failed","note_id":"a","status":"failed","created_at":"now",` + member + `}`
}

// without is a valid payload of a generated note with one of its parts
// replaced.
func without(old, replacement string) string {
	const whole = `{"event":"note.generated","note_id":"a","status":"completed","created_at":"now","data":{}}`
	if !strings.Contains(whole, old) {
		panic("the case changes nothing")
	}
	return strings.Replace(whole, old, replacement, 1)
}

func TestPayloadInvalid(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"nothing", "", "not a JSON object"},
		{"white space", " \r\n", "not a JSON object"},
		{"null", "null", "not a JSON object"},
		{"string", `"event"`, "not a JSON object"},
		{"list", `[` + with(`"x":1`) + `]`, "not a JSON object"},
		{"byte order mark", "\uFEFF" + with(`"x":1`), "not a JSON object"},
		{"another space", "\u00A0" + with(`"x":1`), "not a JSON object"},
		{"form feed", "\f" + with(`"x":1`), "not a JSON object"},
		{"form", "event=note.generated", "not a JSON object"},

		{"not UTF-8 in a value", with("\"x\":\"\xff\""), "not valid UTF-8"},
		{"not UTF-8 in a name", with("\"\xc3\":1"), "not valid UTF-8"},
		{"not UTF-8 deeper", with("\"x\":[{\"y\":\"\xed\xa0\xbd\"}]"), "not valid UTF-8"},
		{"not UTF-8 behind", with(`"x":1`) + "\xff", "not valid UTF-8"},
		{"overlong", with("\"x\":\"\xc0\xaf\""), "not valid UTF-8"},

		{"unfinished", `{"event":"note.failed"`, "malformed JSON"},
		{"unfinished name", `{"event`, "malformed JSON"},
		{"brace alone", `{`, "malformed JSON"},
		{"no colon", `{"event" "note.failed"}`, "malformed JSON"},
		{"comma at the end", with(`"x":1,`), "malformed JSON"},
		{"two commas", with(`,"x":1`), "malformed JSON"},
		{"no value", with(`"x":`), "malformed JSON"},
		{"name that is no string", with(`1:1`), "malformed JSON"},
		{"name in single quotes", with(`'x':1`), "malformed JSON"},
		{"comment", with(`"x":1/* */`), "malformed JSON"},
		{"NaN", with(`"x":NaN`), "malformed JSON"},
		{"literal in upper case", with(`"x":True`), "malformed JSON"},
		{"leading zero", with(`"x":01`), "malformed JSON"},
		{"plus", with(`"x":+1`), "malformed JSON"},
		{"point without digits", with(`"x":1.`), "malformed JSON"},
		{"control character in a string", with("\"x\":\"\n\""), "malformed JSON"},
		{"NUL in a string", with("\"x\":\"\x00\""), "malformed JSON"},
		{"escape that is none", with(`"x":"\x41"`), "malformed JSON"},
		{"short escape", with(`"x":"\u41"`), "malformed JSON"},
		{"malformed deeper", with(`"x":{"y":[1,2,}]}`), "malformed JSON"},
		{"wrong bracket", with(`"x":[1}`), "malformed JSON"},
		{"malformed in data", with(`"data":{"y":tru}`), "malformed JSON"},
		{"name in data that is no string", with(`"data":{1:1}`), "malformed JSON"},
		{"unfinished data", `{"data":{"a":1`, "malformed JSON"},
		{"data without colon", `{"data":{"a"}}`, "malformed JSON"},
		{"another space inside", with("\"x\":\v1"), "malformed JSON"},

		{"object behind", with(`"x":1`) + with(`"x":1`), "data after the object"},
		{"object behind a line break", with(`"x":1`) + "\n{}", "data after the object"},
		{"brace behind", with(`"x":1`) + "}", "data after the object"},
		{"comma behind", with(`"x":1`) + ",", "data after the object"},
		{"NUL behind", with(`"x":1`) + "\x00", "data after the object"},

		{"member twice", with(`"event":"note.failed"`), "a member's name is repeated"},
		{"member not read, twice", with(`"x":1,"x":1`), "a member's name is repeated"},
		{"member twice, once escaped", with(`"\u0065vent":"test"`), "a member's name is repeated"},
		{"empty name twice", with(`"":1,"":2`), "a member's name is repeated"},
		{"data twice", without(`"data":{}`, `"data":{},"data":{}`), "a member's name is repeated"},
		{"a late member twice", with(many(40) + `,"m39":1`), "a member's name is repeated"},
		{"an early member after many", with(many(40) + `,"m0":1`), "a member's name is repeated"},

		{"half a pair in a name", with(`"\ud83d":1`), "a member's name is not valid Unicode"},
		{"the other half in a name", with(`"a\ude00":1`), "a member's name is not valid Unicode"},
		{"half a pair in event", without("note.generated", `\ud83d`), "event is not valid Unicode"},
		{"half a pair in note_id", without(`"a"`, `"a\ude00"`), "note_id is not valid Unicode"},
		{"half a pair in status", without("completed", `\ud83dx`), "status is not valid Unicode"},
		{"half a pair in created_at", without("now", `\ud83d\ud83d`), "created_at is not valid Unicode"},

		{"no event", without(`"event":"note.generated",`, ""), "event is missing"},
		{"event in another case", without(`"event"`, `"Event"`), "event is missing"},
		{"event with a space", without(`"event"`, `"event "`), "event is missing"},
		{"event null", without(`"note.generated"`, "null"), "event is not a string"},
		{"event a list", without(`"note.generated"`, `["note.generated"]`), "event is not a string"},
		{"event empty", without("note.generated", ""), "event is empty"},
		{"no note_id", without(`"note_id":"a",`, ""), "note_id is missing"},
		{"note_id in another style", without(`note_id`, `noteId`), "note_id is missing"},
		{"note_id a number", without(`"a"`, "17"), "note_id is not a string"},
		{"note_id empty", without(`"a"`, `""`), "note_id is empty"},
		{"no status", without(`"status":"completed",`, ""), "status is missing"},
		{"status true", without(`"completed"`, "true"), "status is not a string"},
		{"status empty", without("completed", ""), "status is empty"},
		{"no created_at", without(`"created_at":"now",`, ""), "created_at is missing"},
		{"created_at a number", without(`"now"`, "1773934200"), "created_at is not a string"},
		{"created_at empty", without("now", ""), "created_at is empty"},
		{"no data", without(`,"data":{}`, ""), "data is missing"},
		{"data in another case", without(`"data"`, `"DATA"`), "data is missing"},
		{"data null", without("{}", "null"), "data is not an object"},
		{"data a list", without("{}", "[{}]"), "data is not an object"},
		{"data a string", without("{}", `"{}"`), "data is not an object"},
		{"empty object", "{}", "event is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, err := soapNoteAPI(secret).Event(request(tt.body))
			checkInvalid(t, e, err, tt.want)
		})
	}
}

func TestPayloadValid(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"white space around":                  "\t\r\n " + with(`"x":1`) + " \n\r\t",
		"names that differ in case":           with(`"Event":"x","EVENT":7`),
		"repeated name in data":               without("{}", `{"a":1,"a":2}`),
		"repeated name deeper in data":        without("{}", `{"a":[{"b":1,"b":2}]}`),
		"repeated name in another member":     with(`"x":{"a":1,"a":2}`),
		"half a pair in data":                 without("{}", `{"a":"\ud83d"}`),
		"half a pair in a name in data":       without("{}", `{"\ude00":1}`),
		"half a pair in another member":       with(`"x":"\ud83d"`),
		"half a pair deeper":                  with(`"x":[{"\ude00":"\ud83d"}]`),
		"a whole pair":                        without(`"a"`, `"\ud83d\ude00"`),
		"a whole pair in a name":              with(`"\ud83d\ude00":1`),
		"replacement character":               without(`"a"`, `"\ufffd"`),
		"NUL, escaped":                        without(`"a"`, `"\u0000"`),
		"data that is no object, note failed": with(`"data":7`),
		"many members":                        with(many(1000)),
		"big numbers":                         with(`"x":1e999999,"y":123456789012345678901234567890`),
		"line separators":                     with("\"x\":\"\u2028\u2029\x7f\""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := soapNoteAPI(secret).Event(request(body)); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"m%d":%d`, i, i)
	}
	return b.String()
}

// The outermost object is the first level.
func TestPayloadDepth(t *testing.T) {
	t.Parallel()
	lists := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	objects := func(n int) string { return strings.Repeat(`{"[":`, n) + "0" + strings.Repeat("}", n) }
	const limit = 10_000
	tests := []struct{ name, body, want string }{
		{"lists", with(`"x":` + lists(limit-1)), ""},
		{"a list too many", with(`"x":` + lists(limit)), "nested too deeply"},
		{"objects", with(`"x":` + objects(limit-1)), ""},
		{"an object too many", with(`"x":` + objects(limit)), "nested too deeply"},
		{"in data", with(`"data":` + objects(limit-1)), ""},
		{"one too many in data", with(`"data":` + objects(limit)), "nested too deeply"},
		{"lists in data", with(`"data":{"a":` + lists(limit-2) + `}`), ""},
		{"one list too many in data", with(`"data":{"a":` + lists(limit-1) + `}`), "nested too deeply"},
		{"data that is a list", with(`"data":` + lists(limit-1)), ""},
		{"data that is a list too many", with(`"data":` + lists(limit)), "nested too deeply"},
		{"far too many", with(`"x":` + strings.Repeat("[", 1_000_000)), "nested too deeply"},
		{"malformed at the limit", with(`"x":` + strings.Repeat("[", limit-1) + "x"), "malformed JSON"},
		{"brackets and quotes in strings", with(`"s":"\"[[\\","x":` + lists(limit)), "nested too deeply"},
		{"brackets in strings alone", with(`"s":"` + strings.Repeat("[", 2*limit) + `","x":[tru]`), "malformed JSON"},
		{"side by side", with(`"x":[` + strings.Repeat("[],", limit) + `0]`), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, err := soapNoteAPI(secret).Event(request(tt.body))
			if tt.want != "" {
				checkInvalid(t, e, err, tt.want)
			} else if err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

// A body of the greatest size that is nothing but names: were each looked up
// among all the others, the test would run into its deadline.
func TestPayloadOfManyNames(t *testing.T) {
	t.Parallel()
	if _, err := soapNoteAPI(secret).Event(request(with(many(700_000)))); err != nil {
		t.Errorf("refused: %v", err)
	}
}
