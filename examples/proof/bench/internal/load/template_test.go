package load

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

func testPrepared() *prepared {
	s := &prepared{}
	copy(s.id[:], testID)
	copy(s.signature[:], strings.Repeat("5a", signatureLength/2))
	return s
}

func TestHTTP1(t *testing.T) {
	t.Parallel()
	empty := strings.Repeat("0", signatureLength)
	for name, header := range map[string][]field{
		"signed":   {{"X-Soapnoteapi-Timestamp", "1773934200"}, {signatureField, empty}, {"X-Behind", "b"}},
		"unsigned": {{"Authorization", "Bearer b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := NoteBody(1500)
			original := http1("127.0.0.1:1", "/soapnote", header, b)
			mine := original.copied()
			mine.fill(testPrepared())
			if bytes.Contains(original.wire, []byte(testID)) {
				t.Error("what is a copy's own went into the original")
			}
			request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(mine.wire)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(request.Body)
			if err != nil || string(got) != b.with(testID) {
				t.Errorf("the body is %q, %v", got, err)
			}
			if request.Method != http.MethodPost || request.URL.Path != "/soapnote" || request.Host != "127.0.0.1:1" || request.ContentLength != 1500 {
				t.Errorf("the request is %s %s of %s with %d bytes", request.Method, request.URL, request.Host, request.ContentLength)
			}
			for _, f := range header {
				want := f.value
				if f.name == signatureField {
					want = strings.Repeat("5a", signatureLength/2)
				}
				if got := request.Header.Get(f.name); got != want {
					t.Errorf("%s = %q, want %q", f.name, got, want)
				}
			}
		})
	}
}
