package load

import (
	"net/http"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// A Post is a request of a provider, which may be sent more than once.
type Post struct {
	Path   string
	Body   []byte
	Soniox bool
}

// Acknowledged reports whether an answer acknowledges the event.
func Acknowledged(a sender.Answer) bool {
	return a.Status == http.StatusOK && a.Received && a.ID != ""
}
