package caddymodule

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

// What the sender of a request chooses and Caddy's `tracing` tells of it. It is
// neither a secret, nor of a payload or a query.
const (
	plantedUserAgent  = "a User-Agent"
	plantedForwarded  = "an X-Forwarded-For"
	plantedTraceState = "a tracestate"
)

// What becomes an event's subject.
const (
	plantedNote          = "a note_id"
	plantedTranscription = "a transcription's id"
)

// query is planted in every request: values, names, and what is neither.
func (s *privateSite) query() string {
	return "?user_id=" + s.place("a query value") + "&" + s.place("a query name") + "=1&file=" + s.place("a file name in a query") + ".m4a" +
		"&x;y=" + s.place("a query value behind a semicolon") + "&" + s.place("a query name without value") + "&e=%C3%A9" + s.place("an escaped query value") + "%00"
}

// patient is a note, different for each n.
func (s *privateSite) patient(n int) string {
	return fmt.Sprintf(`{"event":"note.generated","note_id":"%s","status":"completed","created_at":"2026-03-19T15:30:00.000Z",`+
		`"data":{"subjective":"é \"%s\" \ud800","%s":%d,"expires_at":"%s","filename":"%s.m4a"},"%s":"%s"}`,
		s.place(plantedNote), s.place("patient text"), s.place("a member's name in data"), n, s.place("an expires_at"),
		s.place("a file name in data"), s.place("an unknown member's name"), s.place("an unknown member"))
}

// strange is an event that SOAPNoteAPI may add one day, none of whose words can be
// an attribute.
func (s *privateSite) strange() string {
	return fmt.Sprintf(`{"event":"%s 1","note_id":"%s 2","status":"%s 3","created_at":"%s","data":{},"patient":"%s"}`,
		s.place("an event that is no word"), s.place("a note_id that is no word"), s.place("a status that is no word"), s.place("a created_at that is no time"), s.place("an unknown event's member"))
}

// spoken is a transcription with more than Soniox sends today.
func (s *privateSite) spoken(n int) string {
	return fmt.Sprintf(`{"id":"%s-%d","status":"completed","filename":"%s.m4a","%s":1,"text":"%s"}`,
		s.place(plantedTranscription), n, s.place("a file name"), s.place("a transcription's member's name"), s.place("a transcript"))
}

// soapnote makes a request of SOAPNoteAPI. Whatever becomes of its headers, the
// signatures that would prove it are planted as well: nobody may learn the right
// one from what is said of a wrong one.
func (s *privateSite) soapnote(path, body string, changes ...change) *http.Request {
	s.t.Helper()
	r := s.site.soapnote(path+s.query(), body)
	sign(r, s.soapnotes[0], strconv.FormatInt(time.Now().Unix(), 10))
	s.dress(r)
	r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("user:"+s.place("an Authorization"))))
	for _, c := range changes {
		c(r)
	}
	for _, timestamp := range r.Header.Values(verifier.TimestampHeader) {
		for _, secret := range s.soapnotes {
			s.hex("the signature that a request needs", verifier.Sign(secret, timestamp, []byte(body)))
		}
	}
	for _, signature := range r.Header.Values(verifier.SignatureHeader) {
		s.hex("a signature that came", signature)
	}
	return r
}

func (s *privateSite) soniox(path, body string, changes ...change) *http.Request {
	s.t.Helper()
	r := s.site.soniox(path+s.query(), body)
	r.Header.Del(sonioxHeader)
	r.Header.Set("Authorization", "Bearer "+s.sonioxes[0])
	s.dress(r)
	for _, c := range changes {
		c(r)
	}
	return r
}

// dress gives a request the headers that a proxy, a browser or a stranger adds.
func (s *privateSite) dress(r *http.Request) {
	for name, value := range map[string]string{
		"Referer": "https://example.com/" + s.query(), "Cookie": "session=" + s.place("a Cookie"), "User-Agent": s.place(plantedUserAgent),
		"X-Forwarded-For": s.place(plantedForwarded) + ", 192.0.2.7", "Forwarded": "for=" + s.place("a Forwarded"), "X-" + s.place("a header's name"): s.place("a header"),
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate": "vendor=" + s.place(plantedTraceState),
		"Baggage": "a=" + s.place("a baggage"), "Content-Disposition": `attachment; filename="` + s.place("a file name in a header") + `.m4a"`,
		"Content-Type": `application/json; name="` + s.place("a Content-Type") + `"`, "Upgrade": s.place("an Upgrade"), "Connection": "upgrade",
	} {
		r.Header.Set(name, value)
	}
}

// accepted are requests that are genuine, and those are twice.
func (s *privateSite) acceptedRequests() []*http.Request {
	return []*http.Request{
		s.soapnote("/soapnote", s.patient(1)), s.soapnote("/soapnote", s.patient(1)), s.soapnote("/soapnote", s.patient(2), chunked),
		s.soapnote("/soapnote", s.patient(3), header(verifier.SignatureHeader, strings.ToUpper)),
		s.soapnote("/soapnote", s.patient(4), signed(s.soapnotes[1], 0)),
		s.soapnote("/soapnote", s.strange()), s.soapnote("/soapnote", s.patient(5), set("Traceparent", s.place("a traceparent that is none"))),
		s.soniox("/soniox", s.spoken(1)), s.soniox("/soniox", s.spoken(2), set("Authorization", s.sonioxes[1])),
		s.soniox("/metadata", s.spoken(3), without("Authorization"), set(sonioxHeader, s.sonioxes[1])),
		s.soapnote("/blab", s.patient(6)), s.soniox("/blab-soniox", s.spoken(4), set(sonioxHeader, s.sonioxes[0])),
	}
}

// invalidRequests are genuine, and no events.
func (s *privateSite) invalidRequests() []*http.Request {
	text := s.place("text that is no JSON")
	return []*http.Request{
		s.soapnote("/soapnote", text), s.soapnote("/soapnote", `{"`+text+`":1,"`+text+`":1}`), s.soapnote("/soapnote", `{"event":"\ud800`+text+`"}`),
		s.soapnote("/soapnote", "\xff"+text), s.soapnote("/soapnote", `{"event":"`+text+`","note_id":`+text), s.soapnote("/soapnote", `{"event":{"`+text+`":1}}`),
		s.soapnote("/soapnote", s.patient(7)+text), s.soapnote("/soapnote", strings.Replace(s.patient(8), `"data":{`, `"data":"`+text+`","x":{`, 1)),
		s.soniox("/soniox", text), s.soniox("/soniox", `{"id":"`+text+`/","status":"completed"}`), s.soniox("/soniox", `{"id":"a","status":"`+text+`"}`),
		s.soapnote("/checkpoint/structured", text),
	}
}

// forgedRequests are refused, for every reason that one request by itself can be.
func (s *privateSite) forgedRequests() []*http.Request {
	large := strings.Repeat(s.place("text of a body that is too large"), 3000)
	wrong := strings.Repeat("0badf00d", 8)
	soapnote := func(changes ...change) *http.Request { return s.soapnote("/soapnote", s.patient(9), changes...) }
	soniox := func(changes ...change) *http.Request { return s.soniox("/soniox", s.spoken(9), changes...) }
	return []*http.Request{
		soapnote(method("PUT")), soapnote(method("GET")), soapnote(method("ANY")),
		soapnote(coding(s.place("a Content-Encoding"))), soniox(coding("gzip", s.place("a Content-Encoding"))),
		s.soapnote("/soapnote", large), s.soapnote("/soapnote", large, chunked), s.soniox("/soniox", large),
		soapnote(without(verifier.SignatureHeader)), soapnote(set(verifier.SignatureHeader, "")), soapnote(without(verifier.TimestampHeader)),
		soapnote(set(verifier.SignatureHeader, s.place("a signature that is none"))), soapnote(set(verifier.SignatureHeader, s.soapnotes[0])),
		soapnote(header(verifier.SignatureHeader, func(right string) string { return right[:63] })), soapnote(header(verifier.SignatureHeader, func(right string) string { return right + "0" })),
		soapnote(set(verifier.TimestampHeader, s.place("a timestamp"))), soapnote(signed(s.soapnotes[0], -7200)), soapnote(signed(s.soapnotes[1], 7200)),
		soapnote(twice(verifier.SignatureHeader)), soapnote(again(verifier.TimestampHeader, s.place("a timestamp"))), soniox(twice("Authorization")),
		soapnote(set(verifier.SignatureHeader, wrong)), soapnote(signed(s.sonioxes[0], 0)), s.soapnote("/blab", s.patient(9), signed(s.soapnotes[1], 0)),
		soniox(without("Authorization")), soniox(set("Authorization", s.sonioxes[0])), soniox(set("Authorization", "Bearer "+s.place("a wrong secret"))),
		soniox(header("Authorization", func(right string) string { return right + "x" })), soniox(header("Authorization", func(right string) string { return right[:len(right)-1] })),
		// Where nothing of Scribegate's stands.
		s.soapnote("/elsewhere", s.patient(9)), s.soniox("/elsewhere", s.spoken(9), method("GET")),
	}
}

func (s *privateSite) checkpointRequests() []*http.Request {
	requests := []*http.Request{s.soniox("/checkpoint/raw", s.spoken(10))}
	for _, name := range append([]string{"structured", "binary", "away", "http2", "fastcgi", "panicking", "panicking-later", "erring-gateway"}, theBlabs...) {
		requests = append(requests, s.soapnote("/checkpoint/"+name, s.patient(10)))
	}
	return requests
}

// An answered request is one with its answer, whose status is 0 where none came.
type answered struct {
	*http.Request
	reply
}

// sendAll sends requests, over HTTP/2 where that is asked for, a few at a time.
func (s *privateSite) sendAll(overHTTP2 bool, requests []*http.Request) []answered {
	transport := &http.Transport{}
	if overHTTP2 {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	defer transport.CloseIdleConnections()
	all := make([]answered, len(requests))
	slots := make(chan struct{}, 8)
	var work sync.WaitGroup
	for i, r := range requests {
		if overHTTP2 {
			r.Header.Del("Connection")
			r.Header.Del("Upgrade")
		}
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			all[i].Request = r
			resp, err := transport.RoundTrip(r)
			if err != nil {
				return // such as a checkpoint's backend that hung up
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // one may have no end
			all[i].reply = reply{resp.StatusCode, resp.Header, string(body)}
		})
	}
	work.Wait()
	return all
}

// brokenRequests are those that no HTTP client sends.
func (s *privateSite) brokenRequests() {
	s.t.Helper()
	body := s.place("text of a body that is cut off")
	uri := "/soapnote" + s.query()
	fields := func(body string) []string {
		timestamp := strconv.FormatInt(time.Now().Unix(), 10)
		return []string{verifier.TimestampHeader + ": " + timestamp, verifier.SignatureHeader + ": " + verifier.Sign(s.soapnotes[0], timestamp, []byte(body))}
	}
	send := func(text string, closes bool) {
		w := s.dial()
		w.write(text)
		if closes {
			_ = w.conn.CloseWrite()
		}
		w.answer()
	}
	send(head(uri, 100, fields(body)...)+body, true)
	send(head(uri, 100, fields(body)...)+body, false) // until the time for it is over
	send(head(uri, -1, append(fields(body), "Transfer-Encoding: chunked")...)+chunk(body)+body+"\r\n", true)
	send("POST "+uri+" HTTP/1.1\r\nHost: x\r\n"+s.place("a line that is no header")+"\r\n\r\n", true)
	send(s.place("a line that is no request")+"\r\n\r\n", true)
	note := s.patient(11)
	send(head(uri, -1, append(fields(note), "Transfer-Encoding: chunked", "Trailer: X-Note")...)+chunk(note)+"0\r\nX-Note: "+s.place("a trailer")+"\r\n\r\n", false)
	send(strings.Replace(head(uri, len(note), fields(note)...), "POST ", "POST http://127.0.0.1", 1)+note, false)
	send(head("/soapnote?%zz="+url.QueryEscape(s.place("a query that is escaped wrongly")), len(note), fields(note)...)+note, false)
}
