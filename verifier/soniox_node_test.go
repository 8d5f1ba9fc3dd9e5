//go:build examples

package verifier_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

// A sonioxAnswer is what an implementation makes of a request.
type sonioxAnswer struct {
	Status int    `json:"status"`
	ID     string `json:"id"`
	Event  string `json:"event"` // completed or error
}

func (a sonioxAnswer) String() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, a.Event))
}

// A sonioxCase is a request, and why Scribegate refuses it where Soniox's SDK
// does not; "" is agreement.
type sonioxCase struct {
	name     string
	header   [][2]string
	body     string
	value    string // configured; "" is sonioxValue
	stricter string
}

const (
	sonioxHeader = "X-Webhook-Secret"
	sonioxValue  = "s3cret-of-this-test"
)

var (
	sonioxProof = [][2]string{{sonioxHeader, sonioxValue}}

	sonioxCases = []sonioxCase{
		{name: "completed", header: sonioxProof, body: `{"id":"73d4357d-cad2-4338-a60d-ec6f2044f721","status":"completed"}`},
		{name: "error", header: sonioxProof, body: `{"id":"73d4357d-cad2-4338-a60d-ec6f2044f721","status":"error"}`},
		{name: "members in another order, with space", header: sonioxProof, body: " {\n\t\"status\" : \"completed\" , \"id\" : \"t1\" }\r\n"},
		{name: "other members", header: sonioxProof, body: `{"id":"t1","more":{"a":[1,null,1e400]},"status":"completed"}`},
		{name: "repeated names inside another member", header: sonioxProof, body: `{"id":"t1","more":{"a":1,"a":2},"status":"completed"}`},
		{name: "an escaped member name", header: sonioxProof, body: `{"\u0069d":"t1","status":"completed"}`},
		{name: "an escaped id", header: sonioxProof, body: `{"id":"\u0074\u0031","status":"completed"}`},
		{name: "an id of 128 characters", header: sonioxProof, body: `{"id":"` + strings.Repeat("a", 128) + `","status":"completed"}`},
		{name: "nested 10,000 deep", header: sonioxProof, body: `{"id":"t1","more":` + nested(9999) + `,"status":"completed"}`},

		{name: "another status", header: sonioxProof, body: `{"id":"t1","status":"queued"}`},
		{name: "a status in capitals", header: sonioxProof, body: `{"id":"t1","status":"Completed"}`},
		{name: "no status", header: sonioxProof, body: `{"id":"t1"}`},
		{name: "a status that is no string", header: sonioxProof, body: `{"id":"t1","status":true}`},
		{name: "no id", header: sonioxProof, body: `{"status":"completed"}`},
		{name: "an empty id", header: sonioxProof, body: `{"id":"","status":"completed"}`},
		{name: "an id that is null", header: sonioxProof, body: `{"id":null,"status":"completed"}`},
		{name: "an id that is a number", header: sonioxProof, body: `{"id":1,"status":"completed"}`},
		{name: "member names in capitals", header: sonioxProof, body: `{"ID":"t1","STATUS":"completed"}`},
		{name: "members in the prototype", header: sonioxProof, body: `{"__proto__":{"id":"t1","status":"completed"}}`},
		{name: "a list", header: sonioxProof, body: `[{"id":"t1","status":"completed"}]`},
		{name: "a string", header: sonioxProof, body: `"completed"`},
		{name: "null", header: sonioxProof, body: `null`},
		{name: "nothing", header: sonioxProof, body: ``},
		{name: "half an object", header: sonioxProof, body: `{"id":"t1","status":`},
		{name: "two objects", header: sonioxProof, body: `{"id":"t1","status":"completed"}{}`},
		{name: "a trailing comma", header: sonioxProof, body: `{"id":"t1","status":"completed",}`},
		{name: "a number that JSON lacks", header: sonioxProof, body: `{"id":"t1","status":"completed","n":NaN}`},
		{name: "a control character in a string", header: sonioxProof, body: "{\"id\":\"t1\",\"status\":\"completed\",\"s\":\"\x01\"}"},
		{name: "a form", header: sonioxProof, body: `id=t1&status=completed`},

		{name: "the header's name in other letters", header: [][2]string{{"x-WEBHOOK-secret", sonioxValue}}, body: `{"id":"t1","status":"completed"}`},
		{name: "no header", body: `{"id":"t1","status":"completed"}`},
		{name: "another header", header: [][2]string{{"X-Api-Key", sonioxValue}}, body: `{"id":"t1","status":"completed"}`},
		{name: "an empty header", header: [][2]string{{sonioxHeader, ""}}, body: `{"id":"t1","status":"completed"}`},
		{name: "another value", header: [][2]string{{sonioxHeader, "wrong"}}, body: `{"id":"t1","status":"completed"}`},
		{name: "the value's beginning", header: [][2]string{{sonioxHeader, sonioxValue[:5]}}, body: `{"id":"t1","status":"completed"}`},
		{name: "the value and more", header: [][2]string{{sonioxHeader, sonioxValue + "x"}}, body: `{"id":"t1","status":"completed"}`},
		{name: "the value in capitals", header: [][2]string{{sonioxHeader, strings.ToUpper(sonioxValue)}}, body: `{"id":"t1","status":"completed"}`},
		{name: "a scheme before the value", header: [][2]string{{sonioxHeader, "Bearer " + sonioxValue}}, body: `{"id":"t1","status":"completed"}`},
		{name: "the header twice", header: [][2]string{{sonioxHeader, sonioxValue}, {sonioxHeader, sonioxValue}}, body: `{"id":"t1","status":"completed"}`},
		{name: "the header twice, once wrong", header: [][2]string{{sonioxHeader, sonioxValue}, {sonioxHeader, "wrong"}}, body: `{"id":"t1","status":"completed"}`},

		{
			name: "a value that two headers make up", header: [][2]string{{sonioxHeader, "a"}, {sonioxHeader, "a"}}, value: "a, a", body: `{"id":"t1","status":"completed"}`,
			stricter: "the header must stand there exactly once",
		},
		{
			name: "no proof and no JSON", body: `{"id":`,
			stricter: "nothing is parsed before it is proved genuine, so the answer is 401 and not 400",
		},
		{
			name: "an id with a path in it", header: sonioxProof, body: `{"id":"../files/1","status":"completed"}`,
			stricter: "the id becomes a part of a URL, so its form is checked",
		},
		{
			name: "an id of 129 characters", header: sonioxProof, body: `{"id":"` + strings.Repeat("a", 129) + `","status":"completed"}`,
			stricter: "the id becomes a part of a URL, so its form is checked",
		},
		{
			name: "half an emoji as id", header: sonioxProof, body: `{"id":"\ud83d","status":"completed"}`,
			stricter: "a lone surrogate in id reads differently in every language",
		},
		{
			name: "half an emoji in a member's name", header: sonioxProof, body: `{"id":"t1","status":"completed","\ud83d":1}`,
			stricter: "a lone surrogate in a name reads differently in every language",
		},
		{
			name: "two ids", header: sonioxProof, body: `{"id":"t1","id":"t2","status":"completed"}`,
			stricter: "of a repeated member gateway and backend could read a different one",
		},
		{
			name: "two statuses", header: sonioxProof, body: `{"id":"t1","status":"error","status":"completed"}`,
			stricter: "of a repeated member gateway and backend could read a different one",
		},
		{
			name: "broken UTF-8", header: sonioxProof, body: "{\"id\":\"t1\",\"status\":\"completed\",\"s\":\"\xff\"}",
			stricter: "the SDK puts U+FFFD in place of the bytes; a gateway that passes bytes on cannot",
		},
		{
			name: "a byte order mark", header: sonioxProof, body: "\ufeff" + `{"id":"t1","status":"completed"}`,
			stricter: "RFC 8259, section 8.1: a sender must not add one, and not every backend ignores it",
		},
		{
			name: "nested 10,001 deep", header: sonioxProof, body: `{"id":"t1","more":` + nested(10000) + `,"status":"completed"}`,
			stricter: "nesting is limited to 10,000, within what recursive parsers bear",
		},
	}
)

// TestSonioxAgainstItsSDK holds the verifier against npm's @soniox/node. They
// may differ only where the verifier refuses what the SDK does not.
func TestSonioxAgainstItsSDK(t *testing.T) {
	theirs := askSonioxSDK(t, sonioxCases)

	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "request\tverifier\t@soniox/node\tstricter, since")
	for i, c := range sonioxCases {
		ours := judgeSoniox(c)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.name, ours, theirs[i], c.stricter)
		switch {
		case c.stricter == "" && ours != theirs[i]:
			t.Errorf("%s: the verifier says %+v and @soniox/node %+v, and no reason is known", c.name, ours, theirs[i])
		case c.stricter != "" && ours == theirs[i]:
			t.Errorf("%s: they agree on %+v: take the reason out", c.name, ours)
		case c.stricter != "" && ours.Status == http.StatusOK:
			t.Errorf("%s: the verifier accepts what @soniox/node answers with %d", c.name, theirs[i].Status)
		}
	}
	w.Flush()
	t.Logf("\n%s", table.String())
}

// judgeSoniox runs a request through the verifier, as the handler does.
func judgeSoniox(c sonioxCase) sonioxAnswer {
	provider := verifier.Soniox{Header: sonioxHeader, Values: func() []string { return []string{c.configured()} }}
	header := http.Header{}
	for _, field := range c.header {
		header.Add(field[0], field[1])
	}
	now := time.Now()
	proof, err := provider.CheckHeader(header, now)
	if err == nil {
		_, err = proof.Verify([]byte(c.body))
	}
	if err != nil {
		return sonioxAnswer{Status: http.StatusUnauthorized}
	}
	e, err := provider.Event(verifier.Request{Source: provider.Defaults().Source, Header: header, Body: []byte(c.body), ReceivedAt: now})
	if err != nil {
		return sonioxAnswer{Status: http.StatusBadRequest}
	}
	return sonioxAnswer{Status: http.StatusOK, ID: e.ObjectID, Event: strings.TrimPrefix(e.ShortType(), "transcription.")}
}

func (c sonioxCase) configured() string {
	if c.value != "" {
		return c.value
	}
	return sonioxValue
}

// askSonioxSDK runs the requests through @soniox/node, in the version that
// testdata/soniox-node/package.json pins.
func askSonioxSDK(t *testing.T, cases []sonioxCase) []sonioxAnswer {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "soniox-node"))); err != nil {
		t.Fatal(err)
	}
	runNode(t, dir, nil, "npm", "install", "--no-package-lock", "--no-audit", "--no-fund")

	var requests bytes.Buffer
	for _, c := range cases {
		line := map[string]any{"name": sonioxHeader, "value": c.configured(), "header": c.header, "body": []byte(c.body)}
		if c.header == nil {
			line["header"] = [][2]string{}
		}
		if err := json.NewEncoder(&requests).Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	var answers []sonioxAnswer
	for lines := bufio.NewScanner(bytes.NewReader(runNode(t, dir, requests.Bytes(), "node", "answer.mjs"))); lines.Scan(); {
		var a sonioxAnswer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatalf("reading the answer %d: %v", len(answers)+1, err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(cases) {
		t.Fatalf("@soniox/node answered %d requests of %d", len(answers), len(cases))
	}
	return answers
}

func runNode(t *testing.T, dir string, stdin []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%s is not installed; install it with: apt-get install -y nodejs npm", args[0])
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// nested is a value of that many lists, one in the other.
func nested(depth int) string {
	return strings.Repeat("[", depth) + strings.Repeat("]", depth)
}
