package caddymodule

import (
	"net/http"
	"strings"
	"testing"
)

// The two forms of an allow-list in the documentation protect a handler, and the form that it
// warns about does not.
func TestDocumentedAllowLists(t *testing.T) {
	const documented = "203.0.113.0/24 2001:db8::/32"
	forms := map[string]string{"abort beside scribegate": "@stranger not remote_ip " + documented + "\nabort @stranger\n" + usualSite}
	for _, s := range snippets(t) {
		if strings.Contains(s.text, documented) {
			forms[strings.Fields(s.text)[0]] = s.text
		}
	}
	for form, holds := range map[string]bool{"@soapnote": true, "route": true, "abort beside scribegate": false} {
		for addresses, allowed := range map[string]bool{documented: !holds, "127.0.0.0/8 ::1": true} {
			t.Run(form+"/"+addresses, func(t *testing.T) {
				if forms[form] == "" {
					t.Fatal("the documentation does not have this form")
				}
				s, ehr := newSite(t), newBackend(t)
				s.load("scribegate {\nQUEUE\nupstream ehr "+ehr.URL+"\n}", strings.ReplaceAll(forms[form], documented, addresses))
				resp, err := http.DefaultClient.Do(s.soapnote("/soapnote", note("note-1")))
				accepted := err == nil && resp.StatusCode == http.StatusOK
				if err == nil {
					_ = resp.Body.Close()
				}
				events, _ := stored(t)
				if accepted != allowed || (events == 1) != allowed {
					t.Errorf("accepted: %v, with %d events stored; want %v", accepted, events, allowed)
				}
			})
		}
	}
}
