'use strict';

const javascript = require('@eslint/js');
const globals = require('globals');

module.exports = [
  { ignores: ['.cache/', '.node-red-cluster/', 'native/', 'target/'] },
  javascript.configs.recommended,
  {
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: 'commonjs',
      globals: globals.node,
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      curly: ['error', 'multi-line'],
      'default-case-last': 'error',
      eqeqeq: 'error',
      'no-else-return': 'error',
      'no-eval': 'error',
      'no-implied-eval': 'error',
      'no-param-reassign': 'error',
      'no-return-assign': ['error', 'except-parens'],
      'no-shadow': 'error',
      'no-throw-literal': 'error',
      'no-unneeded-ternary': 'error',
      'no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      'no-useless-return': 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
      'prefer-template': 'error',
      strict: ['error', 'global'],
    },
  },
  {
    // What Node-RED loads reports through Node-RED's own log.
    files: ['node/**'],
    rules: { 'no-console': 'error' },
  },
];
