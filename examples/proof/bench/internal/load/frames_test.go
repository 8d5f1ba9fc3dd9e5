package load

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// readFrames reads a request's frames and returns its header and its body.
func readFrames(t *testing.T, wire []byte, stream uint32) (header map[string]string, body string) {
	t.Helper()
	framer := http2.NewFramer(nil, bytes.NewReader(wire))
	header = make(map[string]string)
	decoder := hpack.NewDecoder(0, func(f hpack.HeaderField) { header[f.Name] = f.Value })
	for ended := false; !ended; {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("%v; the stream has not ended", err)
		}
		if frame.Header().StreamID != stream {
			t.Errorf("a frame is of the stream %d, want %d", frame.Header().StreamID, stream)
		}
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			if _, err := decoder.Write(f.HeaderBlockFragment()); err != nil || !f.HeadersEnded() {
				t.Fatalf("the header: %v", err)
			}
			if err := decoder.Close(); err != nil {
				t.Fatal(err)
			}
		case *http2.DataFrame:
			if len(f.Data()) > maxFrame {
				t.Errorf("a frame of %d bytes", len(f.Data()))
			}
			body += string(f.Data())
			ended = f.StreamEnded()
		default:
			t.Errorf("a frame %s", frame.Header())
		}
	}
	if _, err := framer.ReadFrame(); err == nil {
		t.Error("there are frames behind the end")
	}
	return header, body
}

func TestFrames(t *testing.T) {
	t.Parallel()
	empty := strings.Repeat("0", signatureLength)
	// Around the sizes at which another frame is needed, with the id on both
	// sides of the border.
	for _, size := range []int{126, 1500, maxFrame - 1, maxFrame, maxFrame + 1, maxFrame + 10, maxFrame + 18, maxFrame + 19, 3*maxFrame + 5, 256_000} {
		b := NoteBody(size)
		request := frames("127.0.0.1:1", "/soapnote", []field{{"X-Soapnoteapi-Timestamp", "1773934200"}, {signatureField, empty}}, b)
		for i, stream := range []uint32{3, 5, 1<<31 - 1} {
			s := testPrepared()
			s.id[0] = byte('a' + i)
			request.number(stream)
			request.fill(s)
			header, body := readFrames(t, request.wire, stream)
			if body != b.with(string(s.id[:])) {
				t.Errorf("%d bytes: the body is wrong", size)
			}
			if request.payload != len(body) {
				t.Errorf("%d bytes: payload = %d", size, request.payload)
			}
			for name, want := range map[string]string{
				":method": "POST", ":scheme": "https", ":path": "/soapnote", ":authority": "127.0.0.1:1",
				"content-type": "application/json", "x-soapnoteapi-timestamp": "1773934200",
				"x-soapnoteapi-signature": strings.Repeat("5a", signatureLength/2),
			} {
				if header[name] != want {
					t.Errorf("%d bytes: %s = %q, want %q", size, name, header[name], want)
				}
			}
		}
	}
}
