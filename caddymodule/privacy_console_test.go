package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// maxPages is how many pages of the console are visited.
const maxPages = 600

// visited is every page of the console to which a link or a form of another one leads, and what
// an operator may mistype in an address of it.
func (s *privateSite) visited(seen evidence) {
	s.t.Helper()
	base := s.url + "/console/"
	next, known, pages := []string{base}, map[string]bool{base: true}, make(map[string]int)
	for n := 0; len(next) > 0 && n < maxPages; n++ {
		address := next[0]
		next = next[1:]
		got := s.visit(address)
		name := pageOf(address)
		pages[name]++
		seen.add("the console at "+name, fmt.Sprint(got.status, got.header)+got.body)
		if got.status != http.StatusOK {
			s.t.Errorf("the console at %s: %d", address, got.status)
		}
		if name == "preview" && pages["job"] == 0 && strings.Contains(address, "action=replay") {
			if job := s.confirm(address, got.body); !known[job] {
				known[job] = true
				next = append([]string{job}, next...)
			}
		}
		for _, link := range s.links(address, got.body) {
			if !strings.HasPrefix(link, base) {
				s.t.Errorf("the console at %s links to %s", address, link)
			} else if !known[link] {
				known[link] = true
				next = append(next, link)
			}
		}
	}
	for _, name := range []string{"the overview", "events", "event", "dead", "quarantined", "unconfirmed", "preview", "job", "style.css", "console.js"} {
		if pages[name] == 0 {
			s.t.Errorf("no page of the console leads to %s: %v", name, pages)
		}
	}
	mistyped := s.place("what an operator mistypes")
	for _, q := range []string{
		"?" + mistyped, "events?state=" + mistyped, "events?upstream=" + mistyped, "events?since=" + mistyped, "events?cursor=" + mistyped, "events?q=" + mistyped,
		"events?type=" + mistyped, "event?id=" + mistyped, "preview?action=replay&id=" + mistyped, "preview?action=" + mistyped, "job?id=" + mistyped,
	} {
		s.visit(base + q) // the page may quote it, and the log may not
	}
}

// pageOf returns the name of the console's page at an address.
func pageOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	if name := path.Base(u.Path); name != "console" {
		return name
	}
	return "the overview"
}

// visit requests a page of the console, as a browser on this machine does.
func (s *privateSite) visit(address string) reply {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return do(s.t, r)
}

// confirm submits the form of a preview, and returns the address of the job.
func (s *privateSite) confirm(address, page string) string {
	s.t.Helper()
	base, err := url.Parse(address)
	if err != nil {
		s.t.Fatal(err)
	}
	form := make(url.Values)
	for tokens := html.NewTokenizer(strings.NewReader(page)); tokens.Next() != html.ErrorToken; {
		values := attributes(tokens.Token())
		if values["type"] == "hidden" {
			form.Add(values["name"], values["value"])
		}
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, base.JoinPath("../act").String(), strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.URL.RawQuery = ""
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", s.url)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	job, err := resp.Location()
	if err != nil {
		s.t.Fatalf("confirming %s: %s: %v", address, resp.Status, err)
	}
	return job.String()
}

// attributes returns the attributes of a tag.
func attributes(tag html.Token) map[string]string {
	values := make(map[string]string)
	for _, a := range tag.Attr {
		values[a.Key] = a.Val
	}
	return values
}

// links returns the addresses to which the links and the forms of a page lead. A form is
// filled in as it is shown.
func (s *privateSite) links(address, page string) (all []string) {
	s.t.Helper()
	base, err := url.Parse(address)
	if err != nil {
		s.t.Fatal(err)
	}
	for tokens := html.NewTokenizer(strings.NewReader(page)); ; {
		if tokens.Next() == html.ErrorToken {
			if err := tokens.Err(); err != io.EOF { //nolint:errorlint // as the tokenizer documents
				s.t.Fatal(err)
			}
			slices.Sort(all)
			return slices.Compact(all)
		}
		token := tokens.Token()
		values := attributes(token)
		link := ""
		switch token.Data {
		case "a", "link":
			link = values["href"]
		case "script":
			link = values["src"]
		case "form":
			if !strings.EqualFold(values["method"], http.MethodPost) {
				link = values["action"]
			}
		}
		if link == "" || strings.HasPrefix(link, "#") {
			continue
		}
		target, err := base.Parse(link)
		if err != nil {
			s.t.Fatal(err)
		}
		target.Fragment = ""
		all = append(all, target.String())
	}
}
