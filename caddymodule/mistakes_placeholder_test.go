package caddymodule

import "testing"

// A placeholder whose value a request decides, or text that is not a placeholder, is an error in
// every option for a secret.
func TestRefusedPlaceholders(t *testing.T) {
	places := map[string]func(value string) mistake{
		"secret": func(v string) mistake {
			return mistake{site: "scribegate soapnoteapi {\nsecret {env.SOAPNOTE_SECRET} " + v + " # here\n}"}
		},
		"header value": func(v string) mistake {
			return mistake{site: "scribegate soniox {\nheader X-Secret {env.SONIOX_SECRET} " + v + " # here\n}"}
		},
		"encryption_key": func(v string) mistake {
			return mistake{app: "queue sqlite {\nencryption_key {env.SCRIBEGATE_KEY} " + v + " # here\n}"}
		},
		"signing_secret": func(v string) mistake {
			return mistake{app: "signing_secret {env.SIGNING_SECRET} " + v + " # here"}
		},
		"signing_secret of an upstream": func(v string) mistake {
			return mistake{app: "upstream ehr http://127.0.0.1:9000 {\nsigning_secret {env.SIGNING_SECRET} " + v + " # here\n}"}
		},
	}
	values := map[string]string{
		"{http.request.header.x}":        "the placeholder {http.request.header.x} is not allowed here, since the sender of a request could choose its value; use {env.NAME} or {file./absolute/path}",
		"\"Bearer {http.vars.x}\"":       "the placeholder {http.vars.x} is not allowed here",
		"{query.x}":                      "could choose its value",
		"{header.x}":                     "could choose its value",
		"{cookie.x}":                     "could choose its value",
		"{vars.x}":                       "could choose its value",
		"{path}":                         "could choose its value",
		"{path.0}":                       "could choose its value",
		"{query}":                        "could choose its value",
		"{host}":                         "could choose its value",
		"{uuid}":                         "could choose its value",
		"{re.a.1}":                       "could choose its value",
		"{remote_host}":                  "could choose its value",
		"{time.now.unix}":                "use {env.NAME} or {file./absolute/path}",
		"{system.hostname}":              "use {env.NAME} or {file./absolute/path}",
		"{env.}":                         "use {env.NAME} or {file./absolute/path}",
		"{env}":                          "use {env.NAME} or {file./absolute/path}",
		"{env.A}{query.x}":               "could choose its value",
		"{file.secret}":                  "name a file by its absolute path, as in {file./run/secrets/secret}",
		"\"Bearer {file.soniox-token}\"": "name a file by its absolute path, as in {file./run/secrets/soniox-token}",
		"a{SECRETsecret}b":               `write a brace that belongs to the value "\{"`,
		"a{SECRETsecret":                 `a brace that belongs to the value is written "\{"`,
	}
	for place, with := range places {
		for value, says := range values {
			m := with(value)
			m.name, m.says = place+" "+value, says
			m.test(t)
		}
	}
}
