'use strict';

/** An admin's storage: the editor's deploys become revisions, and other admins' revisions come here. */

const { setImmediate: nextTurn, setTimeout: delay } = require('node:timers/promises');

const { watchDeployIntents } = require('./deploy-intent.js');
const { createFlowCopies } = require('./flow-copies.js');
const { seedLibrary } = require('./library-seed.js');
const { parseFlows, printFlows } = require('./slices.js');

/**
 * How long a revision of another admin waits for a deploy of this one that is being started, in
 * milliseconds. Where Node-RED fails to start it, the end is never announced.
 */
const DEPLOY_LIMIT = 60_000;

/** How long a deploy waits for a revision that is being started; then it is a conflict. Milliseconds. */
const SETTLE_LIMIT = 10_000;

/** @typedef {Record<string, unknown>} ExportedCredentials */

/**
 * @param {import('./types').Runtime} runtime
 * @param {import('./types').NativeCluster} cluster
 * @param {import('./types').LocalFiles} files
 * @param {import('./types').Start} start
 * @param {ReturnType<typeof import('./apply').createApplier>} applier
 * @param {ReturnType<typeof import('./follow').createFollowing>} following
 */
function createAdmin(runtime, cluster, files, start, applier, following) {
  const { log, settings } = runtime;
  const projectsEnabled = settings.editorTheme?.projects?.enabled === true;
  const intents = watchDeployIntents(log);
  const copies = createFlowCopies(files, runtime);
  const starting = createStarting();
  /** Node-RED asks for the flows first and then for the credentials that belong to them. */
  let loaded = { flows: /** @type {import('./types').FlowNode[]} */ ([]), credentials: /** @type {ExportedCredentials} */ ({}) };
  let begun = false;
  /** @type {ExportedCredentials | null} */
  let staged = null;
  /** @type {Promise<unknown>} */
  let ownDeploy = Promise.resolve();
  let runState = start.state;
  // Nobody can read the newest revision: only somebody's deploy may take its place.
  let heldBack = start.source === 'unreadable';

  /** @returns {{credentialSecret?: string | false} | null} the active project, once it is loaded */
  function activeProject() {
    const project = projectsEnabled ? files.projects.getActiveProject() : undefined;
    return typeof project === 'object' ? project : null;
  }

  /** @param {ExportedCredentials | null} credentials */
  function describeCredentials(credentials) {
    if (credentials === null) return { kind: 'unchanged' };
    const project = activeProject();
    const text = JSON.stringify(credentials);
    return project === null
      ? { kind: 'exported', text }
      : { kind: 'project', text, secret: project.credentialSecret || null };
  }

  /**
   * @param {import('./types').FlowNode[]} flows
   * @param {ExportedCredentials | null} credentials null where they did not change
   * @param {{type: string, user?: string, patient?: boolean}} deploy
   * @returns {Promise<string>} the hash of the flows, with which Node-RED announces their start
   */
  async function publish(flows, credentials, deploy) {
    const described = { ...deploy, credentials: describeCredentials(credentials) };
    const printed = await printFlows(flows);
    try {
      return JSON.parse(await cluster.publish(printed, JSON.stringify(described))).hash;
    } catch (error) {
      throw asEditorExpects(/** @type {NodeJS.ErrnoException} */ (error));
    }
  }

  /**
   * A project's files are written before the revision is saved, because they may refuse it (a merge
   * that is not resolved); where the store refuses it then, they are put back.
   *
   * @param {import('./types').FlowNode[]} flows
   * @param {ExportedCredentials | null} credentials
   * @param {{type: string, user?: string}} deploy
   * @param {unknown} user
   * @returns {Promise<string>} as publish
   */
  async function publishProject(flows, credentials, deploy, user) {
    const before = { flows: await files.getFlows(), credentials: await files.getCredentials() };
    if (credentials !== null) await files.saveCredentials(credentials);
    await files.saveFlows(flows, user);
    try {
      return await publish(flows, credentials, deploy);
    } catch (error) {
      await files.saveCredentials(before.credentials);
      await files.saveFlows(before.flows, user);
      throw error;
    }
  }

  /**
   * @param {import('./types').FlowNode[]} flows
   * @param {{username?: string}} [user]
   */
  async function saveFlows(flows, user) {
    // Held back there is no revision whose credentials could go on.
    const credentials = staged ?? (heldBack ? loaded.credentials : null);
    staged = null;
    if (applier.takeSave()) {
      if (activeProject() === null) copies.write(flows, credentials);
      return;
    }
    intents.takeReload();
    const deploy = { type: intents.deployType(), user: user?.username };
    // The editor may have seen a revision that is still being started here, and deploys on top of it.
    await Promise.race([following.settled(), delay(SETTLE_LIMIT, undefined, { ref: false })]);
    // Until Node-RED has started this deploy, no other may be applied over it. Watched from before the
    // save, since the end comes in the same turn where no flows run.
    const started = whenDeployed(runtime.events);
    try {
      starting.add(activeProject() === null
        ? await publish(flows, credentials, deploy)
        : await publishProject(flows, credentials, deploy, user));
    } catch (error) {
      // Node-RED holds them and does not hand them out again.
      staged ??= credentials;
      throw error;
    }
    if (activeProject() === null) copies.write(flows, credentials);
    heldBack = false;
    ownDeploy = started;
  }

  /**
   * Node-RED calls this before saveFlows, in one turn; both become one revision. Alone it is called
   * where a project's secret changed.
   *
   * @param {ExportedCredentials} credentials
   */
  async function saveCredentials(credentials) {
    staged = credentials;
    if (applier.expectsSave() || activeProject() === null) return;
    const running = runtime.flows.getFlows();
    setImmediate(async () => {
      if (staged !== credentials || running === null || runtime.flows.getFlows() !== running) return;
      staged = null;
      await files.saveCredentials(credentials).catch((error) => log.error(`[cluster] ${error.message}`));
      await publishLoaded(running.flows, credentials, 'full');
    });
  }

  /**
   * Publishes what Node-RED loaded without saving it: a branch, a pull, "restart flows".
   *
   * @param {import('./types').FlowNode[]} flows
   * @param {ExportedCredentials | null} credentials
   * @param {string} type
   */
  async function publishLoaded(flows, credentials, type) {
    try {
      await publish(flows, credentials, { type, patient: true });
    } catch (error) {
      log.error(`[cluster] the workers did not get what was loaded here: ${/** @type {Error} */ (error).message}`);
    }
  }

  /** @param {string} hash of the flows that were started */
  async function onDeployed(hash) {
    if (applier.isApplying() || starting.take(hash) || heldBack) return;
    const reload = intents.takeReload();
    const running = runtime.flows.getFlows();
    if (running === null) return;
    const credentials = activeProject() === null ? null : await files.getCredentials();
    const described = JSON.stringify(describeCredentials(credentials));
    if (reload || await cluster.isNews(hash, described)) {
      await publishLoaded(running.flows, credentials, reload ? 'reload' : 'full');
    }
  }

  runtime.events.on('runtime-event', (/** @type {import('./types').RuntimeEvent} */ event) => {
    if (event.id !== 'runtime-deploy' || typeof event.payload?.revision !== 'string') return;
    onDeployed(event.payload.revision).catch((error) => log.error(`[cluster] ${error.message}`));
  });

  /** Flows of a Node-RED that joins a new cluster, or of the older package, become the first revision. */
  async function firstFlows() {
    if (projectsEnabled) {
      // Asked in any case: the file storage learns here which project is active.
      const flows = await files.getFlows();
      if (activeProject() !== null) return { flows, credentials: await files.getCredentials() };
    }
    if (start.source === 'store' || start.source === 'disk') {
      return { flows: await parseFlows(await cluster.bootFlows()), credentials: JSON.parse(cluster.credentials()) };
    }
    const unversioned = start.source === 'unversioned';
    const first = unversioned
      ? { flows: await parseFlows(await cluster.bootFlows()), credentials: JSON.parse(cluster.credentials()) }
      : { flows: await files.getFlows(), credentials: await files.getCredentials() };
    if (heldBack) {
      log.error('[cluster] the newest revision of the cluster cannot be read; the flow file of this admin is loaded instead, and reaches the workers when you deploy it');
    } else if (first.flows.length > 0) {
      await publish(first.flows, first.credentials, { type: 'full', patient: true });
      log.info(`[cluster] the flows ${unversioned ? 'of the older package' : 'on the disk of this admin'} are the first revision of the cluster`);
    }
    return first;
  }

  /** What a project's branch, a pull or "restart flows" makes Node-RED load. */
  async function flowsAgain() {
    if (activeProject() !== null) {
      return { flows: await files.getFlows(), credentials: await files.getCredentials() };
    }
    const running = runtime.flows.getFlows();
    return { flows: running?.flows ?? [], credentials: JSON.parse(cluster.credentials()) };
  }

  return {
    async getFlows() {
      loaded = begun ? await flowsAgain() : await firstFlows();
      begun = true;
      return loaded.flows;
    },
    async getCredentials() {
      return loaded.credentials;
    },
    saveFlows,
    saveCredentials,

    async getSettings() {
      const local = await files.getSettings();
      const stored = await cluster.readSettings().catch((error) => {
        log.error(`[cluster] ${error.message}; using the copy on this admin's disk`);
        return null;
      });
      const found = stored === null ? local : JSON.parse(stored);
      // Which project is active is a matter of this machine's disk, and its secrets stay there.
      if (projectsEnabled) found.projects = local.projects;
      if (start.generatedSecret === null) {
        delete found._credentialSecret;
      } else {
        found._credentialSecret = start.generatedSecret;
      }
      if (start.state === 'stop') {
        found.runtimeFlowState = 'stop';
      } else {
        delete found.runtimeFlowState;
      }
      return found;
    },

    /** @param {Record<string, unknown>} all */
    async saveSettings(all) {
      const { projects: _projects, runtimeFlowState, ...shared } = all;
      const next = runtimeFlowState === 'stop' ? 'stop' : 'start';
      const changed = next !== runState;
      runState = next;
      const copy = structuredClone(all);
      await files.saveSettings(copy).catch((error) => log.warn(`[cluster] the settings file of this admin is not up to date: ${error.message}`));
      // Node-RED does not await all of its saves: an error that nobody catches would end the process.
      await cluster.saveSettings(JSON.stringify(shared)).catch((error) => log.error(`[cluster] the settings are on the disk of this admin only: ${error.message}`));
      if (changed && !applier.isApplying()) {
        await cluster.publishState(next).catch((error) => log.error(`[cluster] the workers were not told to ${next} their flows: ${error.message}`));
      }
    },

    /**
     * @param {string} type
     * @param {string} path
     * @param {Record<string, unknown>} meta
     * @param {string} body
     */
    async saveLibraryEntry(type, path, meta, body) {
      await cluster.saveLibraryEntry(type, path, JSON.stringify(meta), body);
      await files.saveLibraryEntry(type, path, meta, body).catch((error) => log.warn(`[cluster] the library on the disk of this admin is not up to date: ${error.message}`));
    },

    /**
     * @param {import('./types').Job} job
     * @returns {Promise<import('./types').JobOutcome>}
     */
    async perform(job) {
      await ownDeploy;
      if (job.kind === 'refill') {
        await refill();
      } else if (job.kind === 'state' && job.state) {
        runState = job.state;
        await applier.setState(job.state);
      } else {
        runState = job.state ?? 'start';
        staged = null;
        return applier.apply(job);
      }
      return { applied: true };
    },

    seed: refill,
    flush: copies.written,
  };

  /** Settings and library of this admin, for a store that has none. */
  async function refill() {
    const { projects: _projects, ...shared } = await files.getSettings();
    if (await cluster.readSettings() === null) await cluster.saveSettings(JSON.stringify(shared));
    const count = await seedLibrary(cluster, files, settings.userDir ?? '.');
    if (count > 0) log.info(`[cluster] ${count} library entries of this admin's disk are in the store now`);
  }
}

/**
 * The saved deploys that Node-RED is starting. It announces the end of each, perhaps after the next one
 * was saved, and in the same way as the end of flows that it loaded without saving them.
 */
function createStarting() {
  /** @type {{hash: string}[]} */
  const deploys = [];
  /** @param {{hash: string} | undefined} deploy */
  const remove = (deploy) => {
    if (deploy) deploys.splice(deploys.indexOf(deploy), 1);
    return deploy !== undefined;
  };
  return {
    /** @param {string} hash of a deploy that was saved */
    add(hash) {
      const deploy = { hash };
      deploys.push(deploy);
      setTimeout(() => deploys.includes(deploy) && remove(deploy), DEPLOY_LIMIT).unref();
    },
    /**
     * @param {string} hash of flows that were started
     * @returns {boolean} whether they were saved before
     */
    take: (hash) => remove(deploys.find((deploy) => deploy.hash === hash)),
  };
}

/**
 * @param {NodeJS.EventEmitter} events
 * @returns {Promise<void>} when Node-RED has started the deploy that is being saved
 */
function whenDeployed(events) {
  return new Promise((resolve) => {
    /** @param {import('./types').RuntimeEvent} [event] */
    const finish = async (event) => {
      if (event && event.id !== 'runtime-deploy') return;
      events.off('runtime-event', finish);
      clearTimeout(timer);
      await nextTurn();
      resolve();
    };
    const timer = setTimeout(finish, DEPLOY_LIMIT);
    timer.unref();
    events.on('runtime-event', finish);
  });
}

/**
 * @param {NodeJS.ErrnoException} error
 * @returns {Error} the error that Node-RED's editor shows as its dialog "conflicting changes"
 */
function asEditorExpects(error) {
  if (error.code !== 'NRC_VERSION_MISMATCH') return error;
  return Object.assign(new Error(error.message), { code: 'version_mismatch', status: 409 });
}

module.exports = { createAdmin };
