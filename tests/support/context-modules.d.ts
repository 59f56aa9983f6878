/** Parts of Node-RED that come without types. */
declare module '@node-red/util';
declare module '@node-red/runtime/lib/nodes/context';
declare module '@node-red/runtime/lib/nodes/context/memory';
