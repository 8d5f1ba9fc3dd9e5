package postgresqueue

import (
	"crypto/x509"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// advice returns what to change after a connection has failed with an error, as the end of
// the error's text, or "".
func advice(err error) string {
	e, ok := errors.AsType[*pgconn.PgError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	switch {
	case ok && e.Code[:2] == "28": // authentication
		return "; check the user and the password in the DSN, and pg_hba.conf of the server"
	case unknown:
		return "; set sslrootcert in the DSN to a file with the certificate of the authority that has signed the server's"
	case name:
		return "; write the host in the DSN as it is in the server's certificate"
	case strings.Contains(err.Error(), "server refused TLS connection"): // pgx has no variable for it
		return "; turn on ssl at the server, or set sslmode in the DSN if nobody can read or change what is sent to it"
	}
	return ""
}
