// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// Codes of PostgreSQL's errors (its manual, appendix A) that mean something
// here or that a person can do something about.
const (
	uniqueViolation   = "23505"
	undefinedTable    = "42P01"
	undefinedSchema   = "3F000"
	undefinedDatabase = "3D000"
	badPassword       = "28P01"
	badAuthorization  = "28000"
	noPrivilege       = "42501"
	readOnlyServer    = "25006"
	diskFull          = "53100"
	tooManyClients    = "53300"
	cannotConnectNow  = "57P03"
	lockTimeout       = "55P03"
	// corrupt is the class of damaged tables and indexes.
	corrupt = "XX"
)

// hints say what to do, by code.
var hints = map[string]string{
	undefinedDatabase: "create the database first; hallmark-server makes its tables, not the database",
	badPassword:       "check the user in the database's URL and the password in its file",
	badAuthorization:  "check the server's pg_hba.conf, the user in the database's URL and sslmode",
	noPrivilege:       "a role that does not own the tables needs the privileges that docs/LOG.md lists, and to make tables it needs CREATE on the schema",
	readOnlyServer:    "this server is a standby or set to read only; name the primary",
	diskFull:          "the database server's disk is full; free some space, appends resume by themselves",
	tooManyClients:    "raise the server's max_connections: every hallmark-server takes up to 12",
	lockTimeout:       "another process holds the log for long; it is disconnected if it died",
}

// code is the SQLSTATE of an error that the server sent, "" for others.
func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// missing says that a table is not there.
func missing(err error) bool {
	c := code(err)
	return c == undefinedTable || c == undefinedSchema
}

// hint adds to an error what can be done about it. The error stays what it is.
func hint(err error) error {
	if err == nil {
		return nil
	}
	if text := hints[code(err)]; text != "" {
		return fmt.Errorf("%w (hint: %s)", err, text)
	}
	var network net.Error
	if code(err) == "" && errors.As(err, &network) {
		return fmt.Errorf("%w (hint: check that the database server runs and that this machine reaches it)", err)
	}
	return err
}

// explain says what was tried with which database, and what can be done.
func (c *connector) explain(verb string, err error) error {
	return fmt.Errorf("%s %s: %w", verb, c.where, hint(err))
}
