// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// connectTimeout bounds one attempt to connect, so that a host that drops
	// packets is told from a slow one before clients of the log give up.
	connectTimeout = 5 * time.Second
	// startWait is how long a database is waited for that has been started with
	// us, or recovers from a crash; startPause is between two questions.
	startWait  = 30 * time.Second
	startPause = 200 * time.Millisecond
	// pingTimeout bounds the question whether an idle connection still lives.
	pingTimeout = 2 * time.Second
	// oldest is the first version of PostgreSQL that the tests run with.
	oldest = 15
	// applicationName is what pg_stat_activity shows.
	applicationName = "hallmark"
)

// settings are what every connection asks of the server, whatever its defaults
// are. Times are milliseconds unless they have a unit.
func settings() map[string]string {
	return map[string]string{
		"application_name": applicationName,
		// A commit that returns is on the server's disk.
		"synchronous_commit":            "on",
		"default_transaction_isolation": "read committed",
		// Who waits for a log's row gives up before clients of the log do; the
		// engine asks again.
		"lock_timeout": "3500ms",
		// No statement of ours takes long. A backup and a migration lift it.
		"statement_timeout": "20s",
		// A process that stops between two round trips of a batch (paused, or
		// cut off) holds the log's row no longer than this. Signing a checkpoint
		// with a slow KMS takes less.
		"idle_in_transaction_session_timeout": "2500ms",
		// The server notices a client whose machine is gone, and a client that
		// went away while its statement waits for a lock. Unix sockets ignore
		// the first four.
		"tcp_keepalives_idle":              "5",
		"tcp_keepalives_interval":          "2",
		"tcp_keepalives_count":             "3",
		"tcp_user_timeout":                 "10s",
		"client_connection_check_interval": "1s",
		// Every statement has an index to use, and one plan that is good for any
		// parameters and any size of tables, analyzed or not. Making it for each
		// execution, or compiling it, would take longer than running it.
		"enable_seqscan":  "off",
		"enable_memoize":  "off", // no look-up is asked twice
		"plan_cache_mode": "force_generic_plan",
		"jit":             "off",
	}
}

// access is what a pool is for.
type access string

const (
	readWrite access = "off"
	readOnly  access = "on" // default_transaction_read_only
)

// connector makes connections to one database.
type connector struct {
	config *pgxpool.Config
	where  string // for errors: who, where, without password
	logger *slog.Logger
}

// newConnector reads a Config. Its errors never show the URL, which a careless
// operator may have put a password in.
func newConnector(cfg Config) (*connector, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("database URL is not of the form postgres://user@host/database?sslmode=verify-full")
	}
	q := u.Query()
	if _, inUser := u.User.Password(); inUser || q.Has("password") {
		return nil, errors.New("database URL has a password in it (hint: put it in a file and name that file)")
	}
	if !q.Has("sslmode") && os.Getenv("PGSSLMODE") == "" {
		q.Set("sslmode", "verify-full") // the driver's default falls back to plain text
	}
	if !q.Has("target_session_attrs") {
		// Of several hosts, and never a standby: it lags behind, and locks there
		// mean nothing here.
		q.Set("target_session_attrs", "primary")
	}
	u.RawQuery = q.Encode()
	config, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", hideURL(err))
	}
	if cfg.Password != "" {
		config.ConnConfig.Password = cfg.Password
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	config.PingTimeout = pingTimeout
	config.ConnConfig.AfterConnect = checkVersion
	for name, value := range settings() {
		config.ConnConfig.RuntimeParams[name] = value
	}
	c := &connector{config: config, logger: cfg.Logger}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	cc := config.ConnConfig
	c.where = fmt.Sprintf("database %q of %s as %q", cc.Database, address(cc.Host, cc.Port), cc.User)
	return c, nil
}

// checkVersion refuses a server that is too old, before anything of it is used. A
// server that says something else than a version is taken for one.
func checkVersion(_ context.Context, conn *pgconn.PgConn) error {
	said := conn.ParameterStatus("server_version")
	major, _, _ := strings.Cut(said, ".")
	if n, err := strconv.Atoi(major); err == nil && n < oldest {
		return fmt.Errorf("the server is PostgreSQL %s (hint: use %d or newer)", said, oldest)
	}
	return nil
}

func address(host string, port uint16) string {
	if strings.HasPrefix(host, "/") {
		return host
	}
	return fmt.Sprintf("%s:%d", host, port)
}

// hideURL keeps of a parse error what does not repeat the URL.
func hideURL(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) && errors.Unwrap(parse) != nil {
		return errors.Unwrap(parse)
	}
	return errors.New("not understood")
}

// pool opens connections for one purpose, and tries one.
func (c *connector) pool(ctx context.Context, a access, size int32) (*pgxpool.Pool, error) {
	config := c.config.Copy()
	config.MaxConns = size
	config.ConnConfig.RuntimeParams["default_transaction_read_only"] = string(a)
	p, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	for began := time.Now(); ; {
		if err = p.Ping(ctx); err == nil {
			return p, nil
		}
		if !isStarting(err) || time.Since(began) > startWait {
			p.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(startPause):
		}
	}
}

// isStarting says that the server is there and not ready: it starts, recovers
// from a crash, or stops.
func isStarting(err error) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && said.Code == cannotConnectNow
}

// connect makes a connection that is not of a pool, with other settings on top
// of the usual ones.
func (c *connector) connect(ctx context.Context, other map[string]string) (*pgx.Conn, error) {
	config := c.config.ConnConfig.Copy()
	for name, value := range other {
		config.RuntimeParams[name] = value
	}
	return pgx.ConnectConfig(ctx, config)
}
