package rest

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// CheckBase reports why s cannot be the address of an API. It must be an https URL, or
// an http URL of this host, without a query, a fragment or a user.
func CheckBase(s string) error {
	_, err := parseBase(s)
	return err
}

func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("api_base is not a URL such as https://api.soniox.com")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("api_base has a user, a query or a fragment: leave it out")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, errors.New("api_base must be https, since the key and the results would be readable on the way; http is accepted for a loopback address only")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("api_base must be an https URL")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
