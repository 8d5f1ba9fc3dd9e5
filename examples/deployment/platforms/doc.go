// Package platforms tests the configurations for Cloud Run, Heroku and Lambda. The tests,
// with the build tag examples, run the gateway with the variables that these platforms set,
// and a PostgreSQL server of their own.
package platforms
