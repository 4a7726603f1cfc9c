// SPDX-License-Identifier: Apache-2.0

package devissuer

import (
	"fmt"
	"time"
)

const buildkiteLife = 5 * time.Minute

const buildkiteSource = `provider: buildkite, issuer: "ISSUER", url: "https://buildkite.com"`

// buildkiteClaims are those of buildkite.com/docs/agent/cli/reference/oidc, with
// the two ids that a job has to ask for. A job that does not is
// organization_id= and pipeline_id=.
func buildkiteClaims(issuer, audience string, now time.Time, overrides map[string]string) (map[string]any, error) {
	c := newClaimSet(overrides)
	c.text("iss", issuer)
	c.text("aud", audience)
	c.number("iat", now.Unix())
	c.number("nbf", now.Unix())
	c.number("exp", now.Add(buildkiteLife).Unix())

	organisation := c.text("organization_slug", "acme")
	c.text("organization_id", uuidOf(organisation))
	pipeline := c.text("pipeline_slug", "app")
	c.text("pipeline_id", uuidOf(organisation+"/"+pipeline))
	c.number("build_number", 17)
	branch := c.text("build_branch", "main")
	c.nullable("build_tag", "null")
	commit := c.text("build_commit", commitOf(organisation+"/"+pipeline, branch))
	c.text("build_source", "webhook")
	c.nullable("step_key", "null")
	c.text("job_id", randomUUID())
	c.text("agent_id", randomUUID())
	c.text("runner_environment", "buildkite-hosted")
	c.text("sub", fmt.Sprintf("organization:%s:pipeline:%s:ref:refs/heads/%s:commit:%s:step:", organisation, pipeline, branch, commit))
	return c.rest()
}
