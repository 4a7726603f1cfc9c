// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/hallmark-dev/hallmark/attest/oci"
)

// options are the command line.
type options struct {
	registries     []string
	insecure       []string
	tokenHost      string
	blobHosts      []string
	trustedRoot    string
	tufURL         string
	tufRoot        string
	tufCache       string
	revocations    string
	maxAge         time.Duration
	webhookAddress string
	webhookCerts   string
	metricsAddress string
	healthAddress  string
	kubeconfig     string
	logLevel       *slog.LevelVar
	webhookHost    string // of webhookAddress
	webhookPort    int
}

func (o *options) register(flags *pflag.FlagSet) {
	o.logLevel = new(slog.LevelVar)
	flags.StringArrayVar(&o.registries, "registry", nil, "central registry, `host[:port]`; images from anywhere else are denied (repeatable, compulsory)")
	flags.StringArrayVar(&o.insecure, "insecure-registry", nil, "central registry `host:port` on loopback that speaks plain HTTP, for development (repeatable)")
	flags.StringVar(&o.trustedRoot, "trusted-root", "", "trusted_root.json `file`, re-read when it changes (compulsory, or --tuf-url)")
	o.registerTrust(flags)
	flags.StringVar(&o.webhookCerts, "webhook-certs", "", "`directory` with tls.crt and tls.key of the webhook, re-read when they change (compulsory)")
	flags.StringVar(&o.webhookAddress, "webhook-address", ":9443", "`address` of the webhook, HTTPS")
	flags.StringVar(&o.metricsAddress, "metrics-address", ":8080", "`address` of /metrics, plain HTTP; 0 switches it off")
	flags.StringVar(&o.healthAddress, "health-address", ":8081", "`address` of /healthz and /readyz, plain HTTP")
	flags.StringVar(&o.tokenHost, "registry-token-host", "", "the registry's token service, if it is on another `host`; it gets the registry's credentials")
	flags.StringSliceVar(&o.blobHosts, "registry-blob-host", nil, "`host` of the storage that the registry redirects downloads to; may be repeated")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file`; default: the pod's own service account")
	flags.TextVar(o.logLevel, "log-level", new(slog.LevelVar), "debug, info, warn or error")
}

// complete checks what the flags say together.
func (o *options) complete() error {
	if len(o.registries)+len(o.insecure) == 0 {
		return errors.New("no central registry (hint: --registry registry.corp.example)")
	}
	if err := o.completeTrust(); err != nil {
		return err
	}
	if o.webhookCerts == "" {
		return errors.New("no serving certificate (hint: --webhook-certs DIR with tls.crt and tls.key)")
	}
	host, port, err := net.SplitHostPort(o.webhookAddress)
	if err != nil {
		return fmt.Errorf("--webhook-address: %w", err)
	}
	o.webhookHost = host
	if o.webhookPort, err = strconv.Atoi(port); err != nil || o.webhookPort < 1 || o.webhookPort > 65535 {
		return fmt.Errorf("--webhook-address: port %q is not a number from 1 to 65535", port)
	}
	return nil
}

// allowed lists the central registry's hosts for the registry client.
func (o *options) allowed() []oci.Registry {
	var all []oci.Registry
	for _, host := range o.registries {
		all = append(all, oci.Registry{Host: host, TokenHost: o.tokenHost, BlobHosts: o.blobHosts, ProxyFromEnvironment: true})
	}
	for _, host := range o.insecure {
		all = append(all, oci.Registry{Host: host, Insecure: true})
	}
	return all
}

// hosts lists the same for the webhook.
func (o *options) hosts() []string { return slices.Concat(o.registries, o.insecure) }
