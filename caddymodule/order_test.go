package caddymodule

import (
	"net/http"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/verifier"
)

// A fault is one thing wrong with a request. A request with several of them is
// judged by the one that comes first.
type fault struct {
	name   string
	apply  func(r *http.Request, body *string)
	status int
	reason verifier.Reason
}

// soapnoteFaults are in the order in which a request is judged. The body's own
// faults are made before the others, which sign it.
var soapnoteFaults = []fault{
	{"method", func(r *http.Request, _ *string) { r.Method = "PUT" }, 405, verifier.Method},
	{"encoding", func(r *http.Request, _ *string) { r.Header.Set("Content-Encoding", "gzip") }, 415, verifier.Encoding},
	{"declared size", func(_ *http.Request, body *string) { *body = padded(*body, tableMaxBody+1) }, 413, verifier.TooLarge},
	{"headers", func(r *http.Request, _ *string) { r.Header.Set(verifier.TimestampHeader, "x") }, 401, verifier.TimestampMalformed},
	{"size", func(r *http.Request, body *string) {
		*body = padded(*body, tableMaxBody+1)
		r.TransferEncoding = []string{"chunked"}
	}, 413, verifier.TooLarge},
	{"signature", func(r *http.Request, _ *string) {
		r.Header.Set(verifier.SignatureHeader, strings.Repeat("0", 64))
	}, 401, verifier.SignatureMismatch},
	{"payload", func(_ *http.Request, body *string) { *body = "[" + *body }, 400, verifier.Payload},
}

var sonioxFaults = []fault{
	soapnoteFaults[0], soapnoteFaults[1], soapnoteFaults[2],
	{"the whole proof", func(r *http.Request, _ *string) { r.Header.Set(sonioxHeader, "x") }, 401, verifier.AuthMismatch},
	soapnoteFaults[4], soapnoteFaults[6],
}

func TestTheEarlierFaultDecides(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", strings.ReplaceAll(tableBlock["soapnoteapi"], "PATH", "/soapnote")+
		strings.ReplaceAll(tableBlock["soniox"], "PATH", "/soniox"))
	for _, provider := range []struct {
		name, path, body string
		request          func(path, body string) *http.Request
		faults           []fault
	}{
		{"soapnoteapi", "/soapnote", note("order"), s.soapnote, soapnoteFaults},
		{"soniox", "/soniox", transcription("order"), s.soniox, sonioxFaults},
	} {
		for i, first := range provider.faults {
			for _, second := range provider.faults[i:] {
				if first.name == "declared size" && second.name == "size" {
					continue // a body's length is declared or not
				}
				t.Run(provider.name+"/"+first.name+" before "+second.name, func(t *testing.T) {
					before := rejections(provider.name, first.reason)
					body := provider.body
					scratch := provider.request(provider.path, body)
					// What is wrong with the body comes first, so that the
					// signature is the body's.
					second.apply(scratch, &body)
					if second.name != first.name {
						first.apply(scratch, &body)
					}
					r := provider.request(provider.path, body)
					for _, f := range []fault{second, first} {
						ignored := body
						f.apply(r, &ignored)
					}
					if len(r.TransferEncoding) > 0 {
						chunked(r)
					}
					got := do(t, r)
					if got.status != first.status || rejections(provider.name, first.reason) != before+1 {
						t.Errorf("answer %d %s, want %d for %s", got.status, got.body, first.status, first.reason)
					}
				})
			}
		}
	}
}
