package pages

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// void are the elements without content.
var void = []string{"meta", "link", "input", "img", "br"}

// checkHTML checks that a page is well-formed, can be used with a keyboard and a screen reader
// as far as its structure shows, and that nothing on it was made by a stranger.
func checkHTML(t testing.TB, address, page string) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf(address+": "+format, args...)
	}
	z := html.NewTokenizer(strings.NewReader(page))
	var open []string
	ids, bound, referred := make(map[string]bool), make(map[string]bool), make(map[string]string)
	var fields []string
	captioned := true
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			if !errors.Is(z.Err(), io.EOF) {
				fail("%v", z.Err())
			}
			break
		}
		tok := z.Token()
		switch kind {
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				fail("</%s> closes %v", tok.Data, open)
				return
			}
			open = open[:len(open)-1]
			continue
		case html.StartTagToken, html.SelfClosingTagToken:
		default:
			continue
		}
		attributes := make(map[string]string)
		for _, a := range tok.Attr {
			if _, twice := attributes[a.Key]; twice {
				fail("<%s> has %s twice", tok.Data, a.Key)
			}
			attributes[a.Key] = a.Val
			switch {
			case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
				fail("<%s> has %s", tok.Data, a.Key)
			case (a.Key == "href" || a.Key == "src" || a.Key == "action") && (strings.HasPrefix(a.Val, "/") || strings.Contains(strings.SplitN(a.Val, "?", 2)[0], ":")):
				fail("<%s> leads to %q, which is not relative", tok.Data, a.Val)
			case a.Key == "href" && strings.Contains(a.Val, "ZgotmplZ"):
				fail("<%s> leads to %q", tok.Data, a.Val)
			case a.Key == "aria-describedby" || a.Key == "aria-labelledby":
				referred[a.Val] = a.Key
			}
		}
		if id := attributes["id"]; id != "" {
			if ids[id] {
				fail("the id %q is there twice", id)
			}
			ids[id] = true
		}
		inside := ""
		if len(open) > 0 {
			inside = open[len(open)-1]
		}
		switch tok.Data {
		case "label":
			bound[attributes["for"]] = true
		case "input", "select", "textarea":
			if attributes["type"] != "hidden" && attributes["aria-label"] == "" && !slices.Contains(open, "label") {
				fields = append(fields, attributes["id"])
			}
		case "th":
			if attributes["scope"] == "" {
				fail("a th has no scope")
			}
		case "tr", "td":
			if !captioned {
				fail("a table has no caption")
				captioned = true
			}
		case "table":
			captioned = false
		case "caption":
			captioned = true
		case "img":
			if _, ok := attributes["alt"]; !ok {
				fail("an image has no text")
			}
		case "script":
			if attributes["src"] == "" {
				fail("a script is on the page itself")
			}
		case "style":
			fail("a style is on the page itself")
		case "b":
			if attributes["onclick"] != "" {
				fail("a stranger's text is an element")
			}
		}
		if tok.Data == "a" && slices.Contains(open, "a") {
			fail("a link is in a link, in <%s>", inside)
		}
		if kind == html.StartTagToken && !slices.Contains(void, tok.Data) {
			open = append(open, tok.Data)
		}
	}
	if len(open) > 0 {
		fail("%v are not closed", open)
	}
	for _, id := range fields {
		if id == "" || !bound[id] {
			fail("the field %q has no label", id)
		}
	}
	for id, by := range referred {
		if !ids[id] {
			fail("%s names %q, which is not there", by, id)
		}
	}
}
